"""Protocols and sampling itself: levels, latents, plans, runs. It imports nothing of jvid but its errors."""
