"""``python -m benchmarks.published [--write] [NAME ...]`` takes the census; ``--write`` writes its page, or the rows of NAME."""

from __future__ import annotations

import sys
import warnings

import torch

from benchmarks.published.census import census, equal_classes
from benchmarks.published.overhead import SIZES, measure
from benchmarks.published.page import write


def main(arguments: list[str]) -> int:
    """Print the findings; the exit status is 1 if a compared class is not equal."""
    import diffusers
    import transformers

    from jvid_models.adapters.pipelines.compared import COMPARED

    warnings.simplefilter("ignore")
    diffusers.utils.logging.set_verbosity_error()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    names = [name for name in arguments if not name.startswith("--")]
    findings = [] if names else census()
    for name in names:
        findings += census([name])
        if "--write" in arguments:
            write(findings[-1:])  # row by row: a census of many classes may be broken off
    equal = equal_classes(findings)
    print(f"equal: {sorted(equal)}")
    if "--write" in arguments and not names:
        write(findings, {size: measure(size) for size in SIZES})
    tried = {each.name.partition(":")[0] for each in findings}
    wrong = sorted((COMPARED & tried) - equal)
    if wrong:
        print(f"compared, and not equal: {', '.join(wrong)}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
