"""Values that mean nothing, given in Python: one line where they are given, and not an error of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from jvid.ensemble import Composition, Ensemble, Member, Source
from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.plugins.registry import load
from jvid.strategy import ExpertStrategy, Strategy
from jvid.testing import GaussianOracle
from tests.toy import SCHEDULE, SHAPE

ORACLE = GaussianOracle(SCHEDULE, 0.2, 0.5)
ANY: Any = None


def strategy(**options: Any) -> Strategy:
    return Strategy("always:name=a", **options)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a strategy that is text": (lambda: Composition("ddim"), "expected a Strategy"),  # type: ignore[arg-type]
    "an ensemble that is text": (lambda: Composition(strategy(), "actions-64"), "expected an ensemble"),  # type: ignore[arg-type]
    "a component that is a number": (lambda: load("solver", 5), "expected a choice"),  # type: ignore[arg-type]
    "sources without names": (lambda: Source(experts="ab"), "expected names with their sources"),  # type: ignore[arg-type]
    "a source that is a number": (lambda: Source(experts={"a": 5}), "expected names with their sources"),  # type: ignore[dict-item]
    "a selector that is a number": (lambda: Strategy(123), "123: expected a choice"),  # type: ignore[arg-type]
    "a selector that is a list": (lambda: Strategy(["a"]), "expected a choice"),  # type: ignore[arg-type]
    "one postprocessor for a list": (lambda: strategy(postprocessors=3), "3: expected a list of choices"),
    "a mapping for a stack": (lambda: ExpertStrategy({"guided": 2}), "expected a list of choices"),  # type: ignore[arg-type]
    "a stack that is a number": (lambda: ExpertStrategy(3), "expected a list of choices"),  # type: ignore[arg-type]
    "a list of experts": (lambda: strategy(experts=["a"]), "expected wrappers and noise by expert"),
    "a text for an expert": (lambda: strategy(experts={"a": "guided:scale=2"}), "expected an ExpertStrategy"),
    "a number for a name": (lambda: strategy(experts={1: ExpertStrategy()}), "expected wrappers and noise by expert"),
    "a choice without a name": (lambda: Choice(5), "5: expected the name of a component"),  # type: ignore[arg-type]
    "options that are a list": (lambda: Choice("a", ["x"]), "expected a mapping"),  # type: ignore[arg-type]
    "an option that is no name": (lambda: Choice("a", {1: 2}), "expected a mapping"),  # type: ignore[dict-item]
    "no number": (lambda: Choice.parse("ddim:eta=nan"), "option eta=nan: expected a number"),
    "a tensor": (lambda: Choice("ddim", {"eta": torch.tensor(0.5)}), "option eta=tensor"),
    "bytes": (lambda: Choice.parse(b"ddim"), "expected a choice"),  # type: ignore[arg-type]
    "choices without an end": (lambda: Choice.parse("a:b=(" * 2000), "choices within choices"),
    "frames per second": (lambda: Ensemble({"a": ORACLE}, SHAPE, fps=float("nan")), "fps nan"),
    "negative frames per second": (lambda: Ensemble({"a": ORACLE}, SHAPE, fps=-1), "fps -1"),
    "one prompt for a list": (lambda: Ensemble({"a": ORACLE}, SHAPE, prompts="abc"), "expected a list of prompts"),
    "no expert": (lambda: Ensemble({"a": ANY}, SHAPE), "expected a Member or a denoiser"),
    **{
        f"an expert called {name}": (lambda name=name: Ensemble({name: Member(ORACLE)}, SHAPE), "and no number, true")
        for name in ("1", "1e5", "true", "None", "nan")
    },
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_value_that_means_nothing_is_one_line(case: str) -> None:
    make, words = WRONG[case]
    with pytest.raises(InputError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers() -> None:
    """They are what JSON holds, so that a strategy that was written is the one that is read."""
    given = strategy(
        solver=Choice("ddim", {"eta": np.float64(0.5)}), grid=Choice("zigzag", {"back": np.int64(2)})
    )
    assert given == strategy(solver="ddim:eta=.5", grid="zigzag:back=2")
    assert Strategy.from_dict(given.to_dict()) == given
