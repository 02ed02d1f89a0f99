"""The numbers of frames that a pipeline makes; others it would round in silence.

    causal autoencoder of rate r    r k + 1 frames of k + 1 latents       Wan: 4k + 1, LTX: 8k + 1, Mochi: 6k + 1
    no compression of time          any number

Source: diffusers, https://github.com/huggingface/diffusers, ``num_frames // r * r + 1`` in ``pipelines/wan/pipeline_wan.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jvid.ensemble.frames import FrameRule
from jvid.errors import located
from jvid_models.adapters.pipelines.spaces import factors_of

if TYPE_CHECKING:
    from jvid_models.adapters.pipelines.call import PipelineCall

__all__ = ["check_frames", "frame_rule_of"]

_CUTTING = ("AllegroPipeline",)
"""Classes that decode more frames and cut off the rest: they take any number."""


def frame_rule_of(pipe: Any) -> FrameRule:
    """The numbers of frames that a pipeline's autoencoder decodes."""
    _, rate = factors_of(pipe)
    return FrameRule(rate, int(rate > 1))


def check_frames(call: PipelineCall) -> None:
    """Refuse a number of frames among a pipeline's options that is below 1, or that the pipeline would round.

    Raises:
        InputError: in one line, with the pipeline's class and the nearest numbers that it makes.
    """
    name = call.frames_name
    if name is None or (number := call.options.get(name)) is None:
        return
    rule = FrameRule() if call.who in _CUTTING else frame_rule_of(call.pipe)
    with located(call.who):
        rule.latents(number)
