"""A command's wall-clock seconds, processor seconds and peak memory: ``python measured.py COMMAND...`` prints them as JSON.

A process of its own, because Linux counts a parent's memory at the fork to its child's peak: started
from a test session that has held gigabytes, any command would seem to need them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def measured(*command: str) -> dict[str, float]:
    """Run ``command`` to its end: ``{"seconds", "cpu", "gigabytes"}``; RuntimeError with its stderr if it fails."""
    done = subprocess.run([sys.executable, str(Path(__file__)), *command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _main(command: list[str]) -> int:
    started = time.perf_counter()
    code = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    # macOS counts bytes, Linux kilobytes.
    unit = 1 if sys.platform == "darwin" else 1024
    figures = {
        "seconds": seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "gigabytes": used.ru_maxrss * unit / 1e9,
    }
    print(json.dumps(figures))
    return code


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
