"""The second generation: written after checks of symmetries, orders and limits were added, and before any was run."""
