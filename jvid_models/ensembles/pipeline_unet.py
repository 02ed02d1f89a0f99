"""The UNet of a pipeline as a network: `UNetNetwork`, as long as the pipeline has this UNet and the scheduler of its levels."""

from __future__ import annotations

import attrs
from torch import Tensor

from jvid.core.protocols import Condition
from jvid_models.adapters.pipelines.fixed_parts import FixedParts
from jvid_models.adapters.unet_network import UNetNetwork

__all__ = ["PipelineUNet"]


@attrs.frozen(eq=False)
class PipelineUNet(UNetNetwork):
    """The network of a pipeline's UNet.

    Attributes:
        fixed: the pipeline's UNet and its scheduler.
    """

    fixed: FixedParts = attrs.field(kw_only=True)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> the UNet's prediction ``(b c f h w)`` in its dtype.

        Raises:
            InputError: a part that was replaced, or latents or a text that the UNet does not take.
        """
        self.fixed.check()
        return super().__call__(x, t, cond)
