"""Protocols of an evaluation: feature networks, samples of clips, and metrics that compare them.

    frames uint8 (n f H W 3)   -> FeatureNetwork -> float rows (n d) of clips, or (n f d) of frames
    clips, reference           -> Metric         -> one number, one number for each clip, or a `Score`

Both are kinds of the registry, ``features`` and ``metric``. A metric names the networks that it needs; whoever evaluates runs
each network once over the clips, whatever the number of metrics, and keeps its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Better", "ClipSample", "ClipSource", "DeclaresFloor", "DeclaresSampleSize", "DeclaresStandard", "DeclaresTarget",
    "FeatureNetwork", "Metric", "Resampling", "Score",
]  # fmt: skip

Better = Literal["lower", "higher"]


@runtime_checkable
class FeatureNetwork(Protocol):
    """Features of clips: frames in, one row of numbers for each clip or each frame out. Kind ``features``.

    A row depends on its own clip alone, not on the others of the batch. Weights are loaded at the first call; a file that is
    not there is a MissingDependencyError when the network is built.
    """

    @property
    def name(self) -> str:
        """The name that figures have in brackets: "i3d"."""
        ...

    @property
    def kind(self) -> Literal["clip", "frame"]:
        """Whether a row is of a clip or of a frame."""
        ...

    @property
    def fingerprint(self) -> str:
        """Text that is equal if and only if weights and preprocessing are: a part of the key under which rows are kept."""
        ...

    def __call__(self, frames: np.ndarray) -> np.ndarray | Mapping[str, np.ndarray]:
        """frames uint8 ``(n f H W 3)`` -> finite float rows ``(n d)`` of clips, or ``(n f d)`` of frames.

        A network with several outputs returns a mapping: "features", and what else it has, such as "logits".

        Raises:
            InputError: frames of another shape or dtype, or weights of another network.
        """
        ...


class ClipSource(Protocol):
    """Clips of one size, length and frame rate, in order."""

    @property
    def name(self) -> str:
        """The name that tables show."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second."""
        ...

    @property
    def frames(self) -> int:
        """Frames of each clip."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digits that are equal if and only if the clips are."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """The prompted action of each clip in words, "" without one."""
        ...

    def __len__(self) -> int: ...

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """Frames uint8 ``(n f H W 3)``, in the order of ``labels``."""
        ...


class ClipSample(ClipSource, Protocol):
    """Clips with the features that a metric needs; rows are in the order of the clips."""

    @property
    def features(self) -> Sequence[Mapping[str, np.ndarray]]:
        """Rows by output, float32, for each of the metric's ``features`` in their order; "features" is always among them."""
        ...


@attrs.frozen
class Resampling:
    """How intervals are computed: ``count`` resamplings of whole clips (0 for no interval), drawn from ``seed``."""

    count: int = 200
    seed: int = 0


@attrs.frozen
class Score:
    """A value with its 95 % interval.

    ``low`` and ``high`` are None without an interval. ``note`` is a short remark on this value. ``count`` is the number of
    clips or frames that it is of, for a metric with a `DeclaresSampleSize`; None is that of the sample.
    """

    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""
    count: int | None = None


@runtime_checkable
class Metric(Protocol):
    """A figure of clips, beside a reference of real clips or alone. Kind ``metric``."""

    @property
    def name(self) -> str:
        """The label of columns, rows and axes, such as "FVD[i3d]": the network in brackets where that may be another."""
        ...

    @property
    def better(self) -> Better | None:
        """Which direction is better; None where the value is only read beside the reference's."""
        ...

    @property
    def unit(self) -> str:
        """What the number is in, as a remark to it: "pixels", "of 255"; "" for a plain number."""
        ...

    @property
    def features(self) -> Sequence[FeatureNetwork | str]:
        """The networks whose rows ``compute`` reads, or their registry choices; () for the clips alone."""
        ...

    def compute(
        self, clips: ClipSample, reference: ClipSample, resampling: Resampling
    ) -> float | np.ndarray | Score | None:
        """The value of ``clips``; equal for equal arguments.

        Returns:
            A number; or numbers ``(n)``, one for each clip, whose mean is the value and whose interval is computed from
            ``resampling``; or a `Score`; or None where these clips have no such value (no labels, no classes).

        Raises:
            InputError: clips that the metric cannot be computed of.
        """
        ...


@runtime_checkable
class DeclaresFloor(Protocol):
    """A metric that states what real clips reach. Without it that is ``compute(reference, reference)``."""

    def floor(self, reference: ClipSample, resampling: Resampling) -> float | np.ndarray | Score | None:
        """The value of real clips, as ``compute`` returns it; a distance splits the reference."""
        ...


@runtime_checkable
class DeclaresTarget(Protocol):
    """A metric whose best value is known.

    A metric without a direction becomes an objective by it: the distance from the target, lower is better.
    """

    @property
    def target(self) -> float:
        """The best value: 1 of a share, or of a ratio to real clips'."""
        ...


@runtime_checkable
class DeclaresSampleSize(Protocol):
    """A metric that is biased by few clips; its figures carry their number where that is smaller."""

    @property
    def sample_size(self) -> tuple[int, Literal["clips", "frames"]]:
        """How many clips or frames the published protocol computes it from."""
        ...


@runtime_checkable
class DeclaresStandard(Protocol):
    """A feature network that may be the one which a figure's bare name means, such as Inception for "FID"."""

    @property
    def standard(self) -> bool:
        """Whether it is; its name is then left out of the figure's."""
        ...
