"""A UNet whose forward leaves out what the stock forward does twice.

The wrap shares the UNet's weights: it copies and changes none, and its state dict is the UNet's. What it keeps
between calls are products of weights and text (see ``Kept``).
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from jvid.errors import InputError
from jvid.extras import extra
from jvid_models.fast.kept import Kept
from jvid_models.fast.rows import Rows
from jvid_models.fast.support import why_not
from jvid_models.fast.walk import walk

__all__ = ["AcceleratedUNet", "accelerate"]


class AcceleratedUNet(nn.Module):
    """What `accelerate` returns: called as the UNet is, with two hints more. Other attributes are the UNet's."""

    def __init__(self, unet: nn.Module, checkpointing: bool = False) -> None:
        super().__init__()
        self.unet = unet
        self.checkpointing = checkpointing
        self.kept = Kept()
        self._told: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("unet"), name)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The state dict of the UNet."""
        return self.unet.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load a state dict into the UNet."""
        return self.unet.load_state_dict(*args, **kwargs)

    def clear(self) -> None:
        """Forget what is kept between calls."""
        self.kept.clear()

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        *,
        halves: int = 1,
        frames: int = 1,
        return_dict: bool = True,
        **options: Any,
    ) -> Any:
        """The UNet's prediction for ``sample`` ``(b c f h w)`` or, of an image UNet, ``(b c h w)``.

        Args:
            sample: as the UNet takes it.
            timestep: ``()``, or one for each row of ``sample``.
            encoder_hidden_states: ``(b, m, d)``.
            halves: 2 where the second half of the rows repeats the first's sample and time, under another text.
            frames: of an image UNet: so many rows that follow one another share their text.
            return_dict: as of the UNet.
            options: as of the UNet; what the fast forward does not know goes to the stock one.

        Raises:
            InputError: rows that cannot be split into halves, or frames.
        """
        unet = self.unet
        reason = why_not(unet)
        unknown = {name for name, value in options.items() if value is not None} - {
            "class_labels",
            "added_cond_kwargs",
        }
        if unknown and reason is None:
            reason = f"it was called with {', '.join(sorted(unknown))}"
        if reason is not None:
            self._tell(reason)
            return unet(sample, timestep, encoder_hidden_states, return_dict=return_dict, **options)
        rows = len(sample)
        if rows % (halves * frames) or len(encoder_hidden_states) != rows:
            raise InputError(
                f"{rows} samples with {len(encoder_hidden_states)} texts, in {halves} halves of {frames} frames: "
                "expected a text for each sample, and rows that the halves and frames divide"
            )
        predicted = self._fast(sample, timestep, encoder_hidden_states, halves, frames, options)
        if not return_dict:
            return (predicted,)
        return _output(unet)(sample=predicted)

    def _fast(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        text: Tensor,
        halves: int,
        frames: int,
        options: dict[str, Any],
    ) -> Tensor:
        unet: Any = self.unet
        video = sample.ndim == 5
        own = any(value is not None for value in options.values())  # of each row: no half repeats the other
        inner = sample.shape[2] if video else frames
        clips = len(sample) // (halves * (1 if video else frames))
        time = self._time(sample, timestep, text, options)
        if len(time) == 1:
            time = time.view(1, 1, 1, -1)
        else:
            time = time.view(halves, clips, 1 if video else frames, -1)
            if not own:
                time = time[:1]
        if frames > 1 and not video:
            text = self.kept.thinned(text, frames)
        rows = Rows(halves, clips, inner, text, time)
        x = sample if own or halves == 1 else sample[: len(sample) // halves]
        if video:
            x = rearrange(x, "b c f h w -> (b f) c h w")
        x = walk(unet, x, rows, self.kept, self.checkpointing)
        return rearrange(x, "(b f) c h w -> b c f h w", f=inner) if video else x

    def _time(
        self, sample: Tensor, timestep: Tensor | float, text: Tensor, options: dict[str, Any]
    ) -> Tensor:
        """The embedding of time ``(1 or b, e)``, with what a 2D UNet adds to it."""
        unet: Any = self.unet
        steps = torch.as_tensor(timestep, device=sample.device).reshape(-1)
        if unet.dtype != sample.dtype and not torch.is_autocast_enabled(sample.device.type):
            raise InputError(
                f"samples in {sample.dtype} for a UNet in {unet.dtype}: expected one dtype; move one of them"
            )
        embedded: Tensor = unet.time_embedding(unet.time_proj(steps).to(sample.dtype))
        labels = (
            unet.get_class_embed(sample=sample, class_labels=options.get("class_labels"))
            if hasattr(unet, "get_class_embed")
            else None
        )
        if labels is not None:
            embedded = embedded + labels
        if getattr(unet.config, "addition_embed_type", None) is not None:
            embedded = embedded + unet.get_aug_embed(
                emb=embedded,
                encoder_hidden_states=text,
                added_cond_kwargs=options.get("added_cond_kwargs") or {},
            )
        act = getattr(unet, "time_embed_act", None)
        return embedded if act is None else act(embedded)

    def _tell(self, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            warnings.warn(f"the UNet runs in diffusers' own forward: {reason}", stacklevel=4)


def _output(unet: nn.Module) -> Any:
    if type(unet).__name__ == "UNet2DConditionModel":
        with extra("models"):
            from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput

        return UNet2DConditionOutput
    with extra("models"):
        from diffusers.models.unets.unet_3d_condition import UNet3DConditionOutput

    return UNet3DConditionOutput


def accelerate(unet: nn.Module, *, checkpointing: bool = False) -> AcceleratedUNet:
    """``unet`` with a forward that gives the same answer for less work.

    Args:
        unet: a ``UNet2DConditionModel`` or ``UNet3DConditionModel`` of diffusers. Others, and those with parts that
            the fast forward does not know, run unchanged, with one warning that names the part.
        checkpointing: layers are computed again in the backward pass: training in less memory, in more time.
    """
    return unet if isinstance(unet, AcceleratedUNet) else AcceleratedUNet(unet, checkpointing)
