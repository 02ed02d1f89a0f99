"""Which expert predicts at a step (section 3.4, Figure 3 and Table 6).

With progress u = 1 - t, 0 at pure noise and 1 at the end, the video model is chosen with

    P_V(u) = 1                                             u <= t_v
             1   + (u - t_v) / (t_e - t_v) (p_e - 1)       t_v < u <= t_e
             p_e + (u - t_e) / (1 - t_e)   (p_f - p_e)     t_e < u

The paper prints the comparisons the other way round, for t that falls from 1 to 0; this reading
is the one that agrees with its Table 6, its Figure 3 and "we start by sampling only from the
video model". A plan keeps the ``shares`` of a selector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.protocols import Step

__all__ = ["Always", "PiecewiseAffine"]


def _check_name(self: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value:
        raise InputError(f"{attribute.name} {value!r}: expected the name of an expert")


def _check_unit(self: object, attribute: attrs.Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        what = "probability" if attribute.name.startswith("p") else "progress"
        raise InputError(f"{attribute.name} {value!r}: expected a {what} from 0 to 1")


@attrs.frozen
class PiecewiseAffine:
    """The paper's selection: the video model alone at first, then less and less of it.

    Args:
        t_v: progress up to which only the video model predicts, 0 <= t_v < t_e.
        t_e: progress at which its probability has fallen to ``p_e``, t_v < t_e <= 1.
        p_e: its probability at ``t_e``.
        p_f: its probability at the end.
        video: name of the expert that P_V is the probability of.
        image: name of the other expert.

    Raises:
        InputError: a value outside [0, 1], ``t_e`` at or below ``t_v``, or one name for both.
    """

    t_v: float = attrs.field(validator=_check_unit)
    t_e: float = attrs.field(validator=_check_unit)
    p_e: float = attrs.field(validator=_check_unit)
    p_f: float = attrs.field(validator=_check_unit)
    video: str = attrs.field(default="video", validator=_check_name)
    image: str = attrs.field(default="image", validator=_check_name)

    def __attrs_post_init__(self) -> None:
        if self.t_e <= self.t_v:
            raise InputError(f"t_e {self.t_e} at or below t_v {self.t_v}: expected t_v < t_e <= 1")
        if self.video == self.image:
            raise InputError(f"video and image are both {self.video!r}: expected two experts")

    @property
    def experts(self) -> tuple[str, ...]:
        """The names that it may choose."""
        return (self.video, self.image)

    def probability(self, progress: float) -> float:
        """P_V at a progress in [0, 1]."""
        if progress <= self.t_v:
            return 1.0
        if progress <= self.t_e:
            return 1.0 + (progress - self.t_v) / (self.t_e - self.t_v) * (self.p_e - 1.0)
        return self.p_e + (progress - self.t_e) / (1.0 - self.t_e) * (self.p_f - self.p_e)

    def shares(self, step: Step) -> Mapping[str, float]:
        """P_V and its rest."""
        p = self.probability(step.progress)
        return {self.video: p, self.image: 1.0 - p}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """The video model if ``u < P_V``, else the image model; with weight 1."""
        return {self.video if u < self.probability(step.progress) else self.image: 1.0}


@attrs.frozen
class Always:
    """One expert at every step."""

    name: str = attrs.field(validator=_check_name)

    @property
    def experts(self) -> tuple[str, ...]:
        """The one name."""
        return (self.name,)

    def probability(self, progress: float) -> float:
        """1 at any progress."""
        return 1.0

    def shares(self, step: Step) -> Mapping[str, float]:
        """All for the one name."""
        return {self.name: 1.0}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """Weight 1 for the one name."""
        return {self.name: 1.0}
