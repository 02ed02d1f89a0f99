"""``python -m tests.fuzz``: a long run of cases; prints what does not hold, and how many cases ran."""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from tests.fuzz.cases import Cases


def run() -> int:
    """Run cases until the time is over; 1 where one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, default=10**9, help="cases, at most")
    parser.add_argument("--only", help="formats whose name begins so, or 'options'")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    end, faults, slow, number = time.monotonic() + 60 * chosen.minutes, 0, 0, chosen.first
    with tempfile.TemporaryDirectory() as folder, Cases(Path(folder), chosen.seed, only=chosen.only) as cases:
        while time.monotonic() < end and number < chosen.first + chosen.count:
            for outcome in cases.run(number):
                if outcome.code is None and not outcome.fault:
                    slow += 1
                    print(
                        f"case {number}: stopped after its time: jvid {' '.join(outcome.words)}", flush=True
                    )
                if outcome.fault:
                    faults += 1
                    print(
                        f"case {number}: jvid {' '.join(outcome.words)!r}: {cases.described}\n{outcome.fault}\n",
                        flush=True,
                    )
            number += 1
    print(f"{number - chosen.first} cases, {faults} faults, {slow} stopped after their time")
    return min(faults, 1)


if __name__ == "__main__":
    raise SystemExit(run())
