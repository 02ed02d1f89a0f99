"""diffusers' UNet as a network: called in its own dtype, on its own device, at its own time.

    network(x, t, cond) = unet(x, n(t), encoder_hidden_states=cond["text"])

n is the time that the UNet was trained with (``SchedulerLevels.timestep``): t T - 1 on a table of T betas, sigma T for
flow matching. A UNet with motion modules takes a text for each frame, so a clip's is repeated.
"""

from __future__ import annotations

import inspect
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from jvid.core.conditions import Layout, PerFrame, describe, expand_rows, require
from jvid.core.modules import Parts
from jvid.core.protocols import Condition, NoiseSchedule
from jvid.denoisers.memo import Memo
from jvid.errors import InputError
from jvid.machine.managed import arrive
from jvid_models.adapters.movable import movable
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_models.fast import AcceleratedUNet, accelerate

__all__ = ["UNETS", "UNetNetwork"]

_IMAGE = ("UNet2DConditionModel",)
_VIDEO = ("UNet3DConditionModel", "UNetMotionModel")
UNETS = _IMAGE + _VIDEO
"""Classes of UNets that are understood."""


@attrs.frozen(eq=False)
class UNetNetwork:
    """The network of `from_unet`: calls ``unet`` in its own dtype, on its own device, at its own timestep.

    ``levels`` are those that it was trained on. ``fast``: in the accelerated forward; it is
    which gets from the condition's ``Layout`` which rows repeat.
    """

    unet: nn.Module
    levels: SchedulerLevels
    fast: bool = True
    _forward: nn.Module = attrs.field(init=False, repr=False)
    _moved: Memo[Tensor] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        given = self.unet
        if isinstance(given, AcceleratedUNet):
            object.__setattr__(self, "unet", given.unet)
        kind = type(self.unet).__name__
        if kind not in UNETS:
            raise InputError(f"got a {kind}: expected one of {', '.join(UNETS)}")
        if self._moves:  # the accelerated forward has no motion modules
            object.__setattr__(self, "fast", False)
        object.__setattr__(self, "_forward", accelerate(given) if self.fast else self.unet)
        object.__setattr__(self, "_moved", Memo())

    @property
    def schedule(self) -> NoiseSchedule:
        """Of the levels."""
        return self.levels.schedule

    @property
    def video(self) -> bool:
        """Whether the UNet sees whole clips."""
        return type(self.unet).__name__ in _VIDEO

    @property
    def _moves(self) -> bool:
        """Whether its motion modules are between layers of frames, which take a text for each frame."""
        return type(self.unet).__name__ == "UNetMotionModel"

    @property
    def denoises(self) -> str:
        """What the UNet sees: "clips" or single "frames"."""
        return "clips" if self.video else "frames"

    def modules(self) -> Parts:
        """The UNet, if it may be moved."""
        return Parts(movable({"unet": self.unet}))

    def timestep(self, t: Tensor) -> Tensor:
        """The UNet's time at t ``(*)``: float32, whole where t is a table entry's; a preconditioned UNet's t is its time."""
        return (t if self.levels.kind.std is not None else self.levels.timestep(t)).float()

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> the UNet's prediction ``(b c f h w)`` in its dtype."""
        config: Any = self.unet.config
        b, c, f = x.shape[:3]
        if c != config.in_channels:
            raise InputError(f"latents of {c} channels: this UNet takes {config.in_channels}")
        if not self.video and f != 1:
            raise InputError(
                f"an image UNet got a clip of {f} frames: lift it to clips with jvid.Framewise(denoiser)"
            )
        if self._moves and f > (most := int(getattr(config, "motion_max_seq_length", None) or f)):
            raise InputError(
                f"clips of {f} frames: this {type(self.unet).__name__} takes at most {most} (motion_max_seq_length); "
                "take fewer, or jvid.Windowed(denoiser) over windows of so many"
            )
        arrive(self.unet)
        weight = next(self.unet.parameters())
        place: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
        given = expand_rows({name: value for name, value in cond.items() if name != "null"}, b)
        text = self._text(given, config)
        if text.dtype != weight.dtype or text.device != weight.device:
            # The same tensor at each step of a run: its keys and values are found again.
            where = {"text": text, "device": str(weight.device), "dtype": weight.dtype}
            text = self._moved(where, lambda: text.to(**place))
        if self._moves:
            text = text.repeat_interleave(f, dim=0)
        options: dict[str, Any] = {"encoder_hidden_states": text}
        if "class_labels" in given and "class_labels" in inspect.signature(self.unet.forward).parameters:
            options["class_labels"] = given["class_labels"].to(weight.device)
        if getattr(config, "addition_embed_type", None) == "text_time":
            names = ("text_embeds", "time_ids")
            options["added_cond_kwargs"] = {
                name: require(given, name, "SDXL's UNet").to(**place) for name in names
            }
        n = self.timestep(t).to(weight.device).expand(b)
        inner = x.to(**place) if self.video else x[:, :, 0].to(**place)
        if self.fast:
            options |= self._hints(x, t, Layout.within(cond))
        out: Tensor = self._forward(inner, n, return_dict=False, **options)[0][:, :c]
        return (out if self.video else out.unsqueeze(2)).to(x.device)

    def _hints(self, x: Tensor, t: Tensor, layout: Layout) -> dict[str, int]:
        """The hints for the accelerated forward about the rows; a video UNet's rows are clips."""
        frames = 1 if self.video else layout.frames
        halves = layout.halves
        if len(x) % (halves * frames):
            return {}
        # The hint comes from wrappers; it is checked where that is free. On a GPU it would wait for the device.
        if halves > 1 and x.device.type == "cpu" and not all(_repeats(value, halves) for value in (x, t)):
            halves = 1
        return {"halves": halves, "frames": frames}

    def _text(self, cond: Condition, config: Any) -> Tensor:
        text = require(cond, "text", f"this {type(self.unet).__name__}")
        if isinstance(text, PerFrame):
            raise InputError("a video UNet takes one text for the clip: got PerFrame; expected (b, n, w)")
        width = config.cross_attention_dim
        if not isinstance(text, Tensor):
            raise InputError(
                f"the condition 'text' is {describe(text)}: this UNet takes (b, n, {width}), as its text encoder gives it"
            )
        if text.ndim != 3 or (isinstance(width, int) and text.shape[-1] != width):
            raise InputError(
                f"the condition 'text' has shape {tuple(text.shape)}: this UNet takes (b, n, {width}); "
                "use the text encoder that it was trained with"
            )
        return text


def _repeats(value: Tensor, halves: int) -> bool:
    """Whether the parts of a batch are equal."""
    if not value.ndim:
        return True
    first, *others = value.chunk(halves)
    return all(torch.equal(first, other) for other in others)
