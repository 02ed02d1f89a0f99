"""What a training run costs, computed on the meta device: nothing is allocated, and no network runs."""
