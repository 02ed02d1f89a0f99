"""An image model over the frames of a clip (section 3.4 of the paper).

    (b c f h w) -> ((b f) c 1 h w) -> image model -> (b c f h w)

"Switching from video to image works by merging the batch and time dimensions."
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from einops import rearrange
from torch import Tensor

from jvid.core.conditions import fold_frames
from jvid.core.evaluations import evaluations_of
from jvid.core.levels import require_latents, require_prediction
from jvid.core.protocols import Condition, Denoiser, Evaluation
from jvid.denoisers.memo import Memo
from jvid.denoisers.wrapper import Wrapper, check_inner

__all__ = ["Framewise"]


@attrs.frozen(eq=False)
class Framewise(Wrapper):
    """A denoiser of single frames ``(b c 1 h w)`` as a denoiser of clips; each frame is denoised alone.

    Conditions repeat for every frame; ``PerFrame`` values give each frame its own row.
    """

    denoiser: Denoiser
    _folded: Memo[dict[str, Any]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check_inner(self.denoiser, "Framewise")
        object.__setattr__(self, "_folded", Memo())

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        require_latents(x, "Framewise")
        b, _, f, _, _ = x.shape
        frames = rearrange(x, "b c f h w -> (b f) c 1 h w")
        times = t.repeat_interleave(f) if t.ndim else t
        # The same tensors at each step of a run: what is kept for them further inside is found again.
        folded = self._folded({"cond": cond, "rows": b, "frames": f}, lambda: fold_frames(cond, b, f))
        x_0 = require_prediction(self.denoiser(frames, times, folded), frames, "Framewise")
        return rearrange(x_0, "(b f) c 1 h w -> b c f h w", f=f)

    def evaluations(self, t: float, frames: int) -> Sequence[Evaluation]:
        """Those of the inner denoiser, with a row for each frame."""
        return [attrs.evolve(each, rows=frames * each.rows) for each in evaluations_of(self.denoiser, t, 1)]
