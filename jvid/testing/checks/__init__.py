"""The checks of each kind, one module a kind; ``jvid.testing.checks_of`` loads them."""
