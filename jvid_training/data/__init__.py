"""Clips to latents, features and windows."""
