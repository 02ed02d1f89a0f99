"""``python -m jvid`` is the command ``jvid``."""

from __future__ import annotations

import sys

from jvid.cli import main

if __name__ == "__main__":
    sys.exit(main())
