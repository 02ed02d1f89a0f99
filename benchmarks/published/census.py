"""What jvid makes of each class of the installed diffusers that makes pictures or clips (`tiny.classes`), with tiny weights.

A class is *equal* if a run of it and of each of its variants differs from diffusers' own by less than 1e-5 of the largest latent,
or, where it rounds to bfloat16 inside so that runs part by themselves, if each evaluation at diffusers' own latents does by 1e-6,
while times 3 % off and another prompt move the result by more; *refused* if jvid refuses it with a reason; *differs* where it
ran to another result, so that it is left out of `COMPARED` and users do not get it unmarked.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Literal

from attrs import frozen

from benchmarks.published import tiny
from benchmarks.published.comparison import compare, prepared_run
from jvid.errors import JvidError
from jvid_models.adapters.pipelines.call import UnstatedSteps

__all__ = ["BOUND", "Finding", "census", "equal_classes", "finding"]

BOUND = 1e-5
CONTROL = 1e-3

Outcome = Literal["equal", "refused", "differs", "not built"]


@frozen
class Finding:
    """One class or variant.

    Attributes:
        name: the class, and its variant after a colon.
        outcome: "equal", "refused", "differs" or "not built".
        reason: of a refusal, or of what is not built here.
        error: of the run, relative to the largest latent.
        shifted: the same with times 3 % off.
        prompt: the same with another prompt.
        runs: "re-entry" or "thread", and whether the number of steps is stated.
        milliseconds: CPU time of an evaluation without its networks.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    error: float | None = None
    shifted: float | None = None
    prompt: float | None = None
    runs: str = ""
    milliseconds: float | None = None


def finding(name: str) -> Finding:
    """Compare one class or variant."""
    try:
        try:
            found = compare(prepared_run(name))
        except UnstatedSteps:
            found = compare(prepared_run(name, stated=True))
    except JvidError as error:
        return Finding(name, "refused", str(error))
    except Exception as error:
        text = " ".join(str(error).split())
        return Finding(name, "not built", f"{type(error).__name__}: {text[:160]}")
    controls = [value for value in (found.shifted, found.prompt) if value is not None]
    near = found.error < BOUND
    alone = found.evaluation
    rounds = not near and found.error < 1e-3 and alone is not None and alone < 1e-6
    equal = (near or rounds) and all(value > CONTROL for value in controls)
    return Finding(
        name,
        "equal" if equal else "differs",
        f"rounds inside: each evaluation is equal to {alone:.0e}" if rounds else "",
        found.error,
        found.shifted,
        found.prompt,
        ("thread" if found.streams else "re-entry") + (", steps stated" if found.stated else ""),
        1e3 * found.seconds,
    )


def census(names: Iterable[str] | None = None) -> list[Finding]:
    """A finding for each class and variant, and for each class that is not built here."""
    found = []
    for name in names or tiny.variants():
        started = time.process_time()
        found.append(finding(name))
        print(
            f"{found[-1].outcome:9} {time.process_time() - started:5.1f} s  {name} {found[-1].reason}",
            flush=True,
        )
    if names is None:
        found += [Finding(name, "not built", reason) for name, reason in tiny.missing().items()]
    return found


def equal_classes(findings: Iterable[Finding]) -> set[str]:
    """The classes that are equal with all of their variants."""
    outcomes: dict[str, set[str]] = {}
    for each in findings:
        outcomes.setdefault(each.name.partition(":")[0], set()).add(each.outcome)
    return {name for name, found in outcomes.items() if found == {"equal"}}
