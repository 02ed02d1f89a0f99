"""Networks of published models: loaded from their pipelines' folders, trained whole or by LoRA, and exported."""
