"""What a component answers is checked wherever it is used: within wrappers and after the last step too."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.denoisers.corrected import Corrected
from jvid.denoisers.first_frame import FirstFrame
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.denoisers.known import Known
from jvid.denoisers.windowed import Windowed
from jvid.errors import InputError, NonFiniteError
from jvid.grids import Leading
from jvid.schedules import TabulatedSchedule
from jvid.selectors import Always
from jvid.solvers import DDIM

SD = TabulatedSchedule.scaled_linear()
SHAPE = (4, 3, 2, 2)
COND = {"text": torch.zeros(1, 1, 1), "null": {"text": torch.zeros(1, 1, 1)}}


@attrs.frozen
class Wrong:
    """A denoiser whose answer has another dtype or shape."""

    change: Any
    schedule: TabulatedSchedule = SD

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        return self.change(x)  # type: ignore[no-any-return]


CHANGES = {
    "float64": lambda x: x.double(),
    "float16": lambda x: x.half(),
    "int": lambda x: x.int(),
    "one frame": lambda x: x[:, :, :1],
    "one row": lambda x: x[..., :1, :],
    "a list": lambda x: [x],
}
WRAPPERS = {
    "Guided": lambda denoiser: Guided(denoiser, 2.0),
    "Guided, alone": lambda denoiser: Guided(denoiser, 1.0),
    "Windowed": lambda denoiser: Windowed(denoiser, 2, 1),
    "Corrected": lambda denoiser: Corrected(denoiser, lambda x: x),
    "FirstFrame": lambda denoiser: FirstFrame(denoiser, Wrong(lambda x: x)),
    "FirstFrame, others": lambda denoiser: FirstFrame(Wrong(lambda x: x), denoiser),
    "Framewise": Framewise,
    "Known": lambda denoiser: Known(denoiser, torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1, 1)),
}


FRAME_BY_FRAME = {("one frame", "FirstFrame"), ("one frame", "Framewise")}
"""Denoisers that are given one frame at a time: one is the right answer."""


@pytest.mark.parametrize(
    ("change", "wrapper"),
    [pair for pair in itertools.product(CHANGES, WRAPPERS) if pair not in FRAME_BY_FRAME],
)
def test_a_wrapper_names_a_wrong_prediction(change: str, wrapper: str) -> None:
    denoiser = WRAPPERS[wrapper](Wrong(CHANGES[change]))
    with pytest.raises(
        InputError, match=f"{wrapper.partition(',')[0]} got .* of its denoiser: expected x_0 like its input"
    ):
        denoiser(torch.zeros(1, *SHAPE), torch.tensor(0.5), COND)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda x: x * torch.nan, NonFiniteError, "returned NaN or infinity, from latents that were finite"),
        (
            lambda x: x[:, :2],
            InputError,
            r"returned shape \(1, 2, 3, 2, 2\) in float32: expected latents like its input",
        ),
        (lambda x: x.double(), InputError, "in float64: expected latents like its input"),
        (lambda x: None, InputError, "returned a value of type NoneType"),
        (lambda x: exec("raise SystemExit(0)"), RuntimeError, r"called sys\.exit\(0\)"),
    ],
)
def test_a_postprocessor_that_answers_wrongly_is_named(
    change: Any, error: type[Exception], words: str
) -> None:
    sampler = Sampler(
        {"one": Expert(Wrong(lambda x: x))},
        Always("one"),
        DDIM(),
        Leading(2),
        postprocessors=[lambda x: x, change],
    )
    with pytest.raises(error, match=words) as caught:
        sampler(SHAPE, seeds=[1])
    assert str(caught.value).startswith("postprocessor 2 of 2, ")
