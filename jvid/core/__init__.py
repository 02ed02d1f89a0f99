"""What samples: levels, latents, plans, runs; knows nothing of the rest of jvid but its errors."""
