"""Checks of noise samplers: N(0, std^2) at each element, made of keyed draws alone.

Statistics are keyed, so they come out the same each time, and pass at six deviations of a mean over
clips: clips are independent where nothing else is, hence their number is the effective sample size.
A sampler declares ``std`` and ``correlation(i, j)`` of frames. Options: ``pixels=False`` for one that correlates the
pixels of a frame on purpose, as noise offset does; ``channels=False`` likewise.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.testing.checking import check, declare
from jvid.testing.checks import noise_exact, noise_reference  # noqa: F401 - they register
from jvid.testing.checks.options import vary
from jvid.testing.strategies import seeds
from jvid.testing.trial import Trial

declare("noise", pixels=True, channels=True)

F64 = torch.float64
CLIPS = 1024
SHAPE = (CLIPS, 2, 4, 3, 2)
SIGMAS = 6.0


def drawing(
    of: Sequence[int],
    step: int = 0,
    dtype: torch.dtype = F64,
    seen: list[tuple[Any, tuple[int, ...]]] | None = None,
    device: torch.device | str = "cpu",
) -> Callable[[str, Sequence[int]], Tensor]:
    """The draws of a step, of clips with these seeds, as a sampler hands them out."""

    def draw(name: str, shape: Sequence[int]) -> Tensor:
        if seen is not None:
            seen.append((name, tuple(shape)))
        assert shape[0] == len(of), (
            f"draw {name!r} of shape {tuple(shape)}: expected it to lead with {len(of)}"
        )
        return keyed_normal(of, (step, "z", str(name)), shape[1:], dtype, device)

    return draw


@lru_cache(maxsize=16)
def _drawn(step: int, name: str, shape: tuple[int, ...]) -> Tensor:
    return drawing(range(CLIPS), step)(name, shape)


def _sample(subject: Any, trial: Trial, step: int = 0) -> Tensor:
    # Many checks look at the same draws: most of their time is here.
    z: Tensor = subject(SHAPE, lambda name, shape: _drawn(step, name, tuple(shape)).clone().to(trial.device))
    assert z.shape == SHAPE, f"shape {tuple(z.shape)} for {SHAPE}"
    return z.cpu().double()


def _expect(each: Tensor, expected: float, what: str) -> None:
    """Assert the mean of independent values ``(n,)``."""
    mean, spread = float(each.mean()), float(each.std()) / math.sqrt(len(each))
    assert abs(mean - expected) <= SIGMAS * spread + 1e-9, (
        f"{what} is {mean:.4g}, expected {expected:.4g} (deviation of the measurement {spread:.2g})"
    )


def _std(subject: Any) -> float:
    return float(getattr(subject, "std", 1.0))


@check("noise")
def normal_with_the_declared_deviation(subject: Any, trial: Trial) -> None:
    """Mean 0, variance std^2 (1 where none is declared), no skew and the fourth moment of a normal, in each frame."""
    z, std = _sample(subject, trial), _std(subject)
    for frame in range(SHAPE[2]):
        clips = z[:, :, frame].flatten(1)
        for power, expected in ((1, 0.0), (2, std**2), (3, 0.0), (4, 3.0 * std**4)):
            _expect((clips**power).mean(1), expected, f"frame {frame}: the mean of z^{power}")


@check("noise")
def frames_correlate_as_declared(subject: Any, trial: Trial) -> None:
    """Two frames correlate, at the same place, as ``correlation(i, j)`` declares."""
    declared = getattr(subject, "correlation", None)
    if declared is None:
        trial.skip("it declares no correlation of frames")
    z, variance = _sample(subject, trial), _std(subject) ** 2
    for i in range(SHAPE[2]):
        assert abs(declared(i, i) - 1.0) <= 1e-12, f"correlation({i}, {i}) is declared {declared(i, i)}"
        for j in range(i):
            one, two = declared(i, j), declared(j, i)
            assert one == two, f"correlation({i}, {j}) is declared {one}, the other way {two}"
            each = (z[:, :, i] * z[:, :, j]).flatten(1).mean(1)
            _expect(each, one * variance, f"the covariance of frames {i} and {j}")


@check("noise")
def clips_are_independent(subject: Any, trial: Trial) -> None:
    """Clips of a batch do not correlate, in any frames of theirs, nor do their squares."""
    z, variance = _sample(subject, trial), _std(subject) ** 2
    one, two = z[0::2], z[1::2]
    for i in range(SHAPE[2]):
        for j in range(SHAPE[2]):
            pair = f"frame {i} of one clip and frame {j} of the next"
            _expect((one[:, :, i] * two[:, :, j]).flatten(1).mean(1), 0.0, f"the covariance of {pair}")
    squares = ((one**2 - variance) * (two**2 - variance)).flatten(1).mean(1)
    _expect(squares, 0.0, "the covariance of the squares of two clips")


@check("noise")
def places_are_independent(subject: Any, trial: Trial) -> None:
    """Channels and pixels of a clip do not correlate."""
    if not (trial.option("pixels") or trial.option("channels")):
        trial.skip("it correlates channels and pixels on purpose")
    z = _sample(subject, trial)
    if trial.option("channels"):
        _expect((z[:, 0] * z[:, 1]).flatten(1).mean(1), 0.0, "the covariance of two channels")
    if trial.option("pixels"):
        _expect((z[..., :-1, :] * z[..., 1:, :]).flatten(1).mean(1), 0.0, "the covariance of two rows")
        _expect((z[..., :-1] * z[..., 1:]).flatten(1).mean(1), 0.0, "the covariance of two columns")
        # What is folded in the wrong order makes a frame another's transpose, or its neighbour's shift.
        _expect((z[..., 0, 1] * z[..., 1, 0]).flatten(1).mean(1), 0.0, "the covariance of mirrored pixels")
        shifted = z[:, :, :-1, 1:] * z[:, :, 1:, :-1]
        _expect(shifted.flatten(1).mean(1), 0.0, "the covariance of other rows of two frames")


@check("noise")
def steps_are_independent(subject: Any, trial: Trial) -> None:
    """The noise of another step does not correlate with this one's: nothing is kept."""
    one, two = _sample(subject, trial, 0), _sample(subject, trial, 1)
    _expect((one * two).flatten(1).mean(1), 0.0, "the covariance of two steps")


@check("noise")
def a_clip_is_the_same_in_any_batch(subject: Any, trial: Trial) -> None:
    """A row of a batch equals a batch of one bit for bit."""

    @trial.given(shape=trial.shapes(batch=(3,)), seed=seeds())
    def _(shape: tuple[int, ...], seed: int) -> None:
        of = [seed, seed + 7, seed + 1]
        whole = subject(shape, drawing(of, dtype=torch.float32, device=trial.device))
        for b, one in enumerate(of):
            alone = subject((1, *shape[1:]), drawing([one], dtype=torch.float32, device=trial.device))
            trial.same(alone, whole[b : b + 1], f"row {b} alone and in a batch of {len(of)}")


@check("noise")
def the_same_whatever_came_before(subject: Any, trial: Trial) -> None:
    """It gives the same bit for bit again, after other shapes and steps, by a pickled copy as well."""

    @trial.given(shape=trial.shapes(), other=trial.shapes(), seed=seeds())
    def _(shape: tuple[int, ...], other: tuple[int, ...], seed: int) -> None:
        of = range(seed, seed + shape[0])
        first = subject(shape, drawing(of, 3, device=trial.device)).clone()
        subject(other, drawing(range(other[0]), 4, device=trial.device))
        subject(shape, drawing(of, 5, device=trial.device))
        trial.same(subject(shape, drawing(of, 3, device=trial.device)), first, "after other draws")
        copy = pickle.loads(pickle.dumps(subject))
        trial.same(copy(shape, drawing(of, 3, device=trial.device)), first, "of a pickled copy")


@check("noise")
def shape_and_dtype_kept(subject: Any, trial: Trial) -> None:
    """Noise has the requested shape and the dtype of the draws and is finite, for odd sizes and single frames."""

    @trial.given(shape=trial.shapes(), name=st.sampled_from(["float32", "float64"]))
    def _(shape: tuple[int, ...], name: str) -> None:
        dtype = getattr(torch, name)
        z = subject(shape, drawing(range(shape[0]), dtype=dtype, device=trial.device))
        assert tuple(z.shape) == tuple(shape), f"shape {tuple(z.shape)}, expected {shape}"
        assert z.dtype == dtype, f"{z.dtype} of draws in {dtype}"
        assert z.device == trial.device, f"on {z.device} of draws on {trial.device}"
        assert z.isfinite().all(), "not finite"


@check("noise")
def made_of_draws_alone(subject: Any, trial: Trial) -> None:
    """It is linear in its draws: 0 of draws that are 0, twice as much of draws twice as large."""

    @trial.given(shape=trial.shapes(), seed=st.integers(0, 99))
    def _(shape: tuple[int, ...], seed: int) -> None:
        draw = drawing(range(seed, seed + shape[0]), device=trial.device)
        nothing = subject(shape, lambda name, size: 0.0 * draw(name, size))
        assert not nothing.any(), f"{float(nothing.abs().max()):.3g} of draws that are 0"
        twice = subject(shape, lambda name, size: 2.0 * draw(name, size))
        trial.close(twice, 2.0 * subject(shape, draw), "of draws twice as large", 1e-12)


@check("noise")
def draws_have_names(subject: Any, trial: Trial) -> None:
    """Draws have names of text, one shape each, and the same names for any batch."""

    @trial.given(shape=trial.shapes(batch=(1, 2, 5)))
    def _(shape: tuple[int, ...]) -> None:
        named = {}
        for b in (shape[0], 3):
            seen: list[tuple[Any, tuple[int, ...]]] = []
            subject((b, *shape[1:]), drawing(range(b), seen=seen, device=trial.device))
            for name, _ in seen:
                good = isinstance(name, str) and name != ""
                assert good, f"draw {name!r}: expected a name"
            shapes = {name: {size for other, size in seen if other == name} for name, _ in seen}
            for name, sizes in shapes.items():
                assert len(sizes) == 1, f"draw {name!r} is drawn in shapes {sorted(sizes)}"
            named[b] = [(name, size[1:]) for name, size in seen]
        assert len({tuple(each) for each in named.values()}) == 1, f"draws by batch: {named}"


@check("noise")
def draws_are_not_written_on(subject: Any, trial: Trial) -> None:
    """It changes no draw in place, nor hands one out to be changed that it keeps."""
    kept: dict[str, Tensor] = {}
    draw = drawing(range(3), device=trial.device)

    def cached(name: str, size: Sequence[int]) -> Tensor:
        return kept.setdefault(name, draw(name, size))

    shape = (3, 2, 4, 3, 2)
    subject(shape, cached)
    for name, value in kept.items():
        trial.untouched(value, draw(name, value.shape), f"the draw {name!r} afterwards")


vary("noise")
