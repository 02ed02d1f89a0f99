"""The census of published pipelines: what jvid makes of every class of the installed diffusers."""
