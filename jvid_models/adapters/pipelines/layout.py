"""How jvid's latents ``(b c f h w)`` lie in a pipeline's: where it prepares them, and where its scheduler takes a step.

    prepared = the pipeline's own, with jvid's values at the positions of `prepared`
    x_0      = the values that the pipeline keeps for itself, with the model's at the positions of `stepped`

jvid's latents are those that the pipeline's decoder gets, less the shift and over the scale of each channel. What the pipeline
keeps for itself (a first frame that is given) is a constant of them.
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from jvid_models.adapters.pipelines.axes import Strides

__all__ = ["PipelineLayout"]

Box = tuple[slice, ...]


@attrs.frozen(eq=False)
class PipelineLayout:
    """The positions of latents of one shape.

    Attributes:
        shape: ``(b c f h w)``.
        box: the part of it that the model predicts.
        prepared: its positions in the latents that the pipeline prepares.
        stepped: its positions in the latents that its scheduler gets.
        kept: ``(b c f h w)``, the values outside of the box; None where the box is all.
        scale: of each channel ``(c,)``, or of each element: what the decoder gets is scale x + shift.
        shift: as ``scale``.
    """

    shape: tuple[int, ...]
    box: Box
    prepared: Strides
    stepped: Strides
    kept: Tensor | None
    scale: Tensor
    shift: Tensor

    def insert(self, x: Tensor, prepared: Tensor) -> Tensor:
        """The prepared latents with those of x ``(b c f h w)``, in their dtype, on their device."""
        filled = prepared.clone(memory_format=torch.contiguous_format)
        self.prepared.scatter(x[self.box], filled)
        return filled

    def returned(self, x: Tensor, stepped: Tensor) -> Tensor:
        """What a scheduler's step gives: latents like ``stepped`` with those of x ``(b c f h w)``."""
        filled = stepped.clone(memory_format=torch.contiguous_format)
        self.stepped.scatter(x[self.box], filled)
        return filled

    def extract(self, stepped: Tensor) -> Tensor:
        """Values in the scheduler's form -> the box of them."""
        return self.stepped.gather(stepped)

    def completed(self, box: Tensor) -> Tensor:
        """The box's values among those that the pipeline keeps -> ``(b c f h w)``."""
        if self.kept is None:
            return box
        full = self.kept.to(box).clone()
        full[self.box] = box
        return full
