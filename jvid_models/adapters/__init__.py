"""Denoisers of published models: diffusers' UNets and their configurations."""
