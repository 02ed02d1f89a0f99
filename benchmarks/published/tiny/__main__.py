"""``python -m benchmarks.published.tiny [NAME ...]`` builds and runs tiny pipelines, and reports what is missing."""

from __future__ import annotations

import sys
import time
import warnings

from benchmarks.published import tiny


def main(chosen: list[str]) -> int:
    """Print a line for each variant; the exit status is 1 if one failed."""
    import diffusers
    import transformers

    from benchmarks.published.tiny.runs import flaw

    warnings.simplefilter("ignore")
    diffusers.utils.logging.set_verbosity_error()
    transformers.logging.set_verbosity_error()
    failed = 0
    for name in chosen or tiny.variants():
        start = time.perf_counter()
        try:
            wrong = flaw(tiny.build(name))
        except Exception as error:
            wrong = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        failed += wrong is not None
        print(f"{name:45} {time.perf_counter() - start:5.1f} s  {wrong or 'ok'}", flush=True)
    if not chosen:
        for name, reason in sorted(tiny.missing().items()):
            print(f"{name:45} {'':7}  missing: {reason}")
        print(
            f"{len(tiny.names())} of {len(tiny.classes.published())} classes, {len(tiny.variants())} variants, {failed} failed"
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
