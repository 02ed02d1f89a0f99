"""Prompts to clips: batches, cost, records of how clips were made."""
