"""The check of a noise sampler by its reference ``(i, j) -> covariance``, of elements ``(clip, channel, frame, row, column)``."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from hypothesis import strategies as st

from jvid.testing.checking import check
from jvid.testing.covariance import covariance, shapes_of_few
from jvid.testing.referenced import ReferenceComparison, stated
from jvid.testing.trial import Trial

SHAPES = ((1, 1, 5, 1, 2), (2, 2, 3, 1, 2), (1, 1, 11, 1, 1), (1, 2, 1, 2, 3))


@check("noise")
def as_referenced(subject: Any, trial: Trial) -> None:
    """The covariance of any two elements of a batch is the reference's; also for other options."""
    trial.equation()
    compared = ReferenceComparison(trial)

    @trial.given(shape=st.sampled_from(shapes_of_few(trial, SHAPES)), options=trial.versions())
    def _(shape: tuple[int, ...], options: dict[str, Any]) -> None:
        sampler, equation = trial.version(subject, options), trial.equation(options)
        found = covariance(sampler, shape, trial.device)
        places = list(product(*map(range, shape)))
        for a, i in enumerate(places):
            expected = [stated(equation, i, j) for j in places]
            known = [k for k, value in enumerate(expected) if value is not None]
            wanted = torch.tensor([float(expected[k]) for k in known], dtype=torch.float64)
            compared.agree(found[a, known], wanted, f"the covariance of element {i} with others")

    compared.finish()
