"""Wan's transformer as a network: Wan 2.1 and 2.2, and the 5B model, whose tokens each have a time.

    network(x, t, cond) = transformer(x, n(t), cond["text"])

The pipeline of the 5B model (``expand_timesteps``) gives the transformer the time of each token, for the sake of pictures whose
tokens are at time 0. Without one all tokens of a clip have the clip's time, which the transformer takes as one number: its
modulation is then made once a clip, not once a token. Source: diffusers, https://github.com/huggingface/diffusers,
``pipelines/wan/pipeline_wan.py`` and ``models/transformers/transformer_wan.py``.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.conditions import describe, expand_rows, require
from jvid.core.protocols import Condition
from jvid.denoisers.memo import Memo
from jvid.errors import InputError
from jvid_models.adapters.pipelines.turns import in_turn
from jvid_models.adapters.transformer_network import TransformerNetwork, calls

__all__ = ["WanNetwork"]


@attrs.frozen(eq=False)
class WanNetwork(TransformerNetwork):
    """The network of a ``WanTransformer3DModel`` without pictures; its prediction is eps - x_0."""

    _moved: Memo[Tensor] = attrs.field(init=False, factory=Memo, repr=False)

    @in_turn
    def _predicted(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        place, transformer = self.place(), self.transformer
        config: Any = transformer.config
        b = len(x)
        if x.shape[1] != config.in_channels or any(
            size % patch for size, patch in zip(x.shape[2:], config.patch_size, strict=True)
        ):
            raise InputError(
                f"latents of shape {tuple(x.shape)}: expected {config.in_channels} channels, and frames, rows and columns in "
                f"patches of {' x '.join(map(str, config.patch_size))}"
            )
        text, n = self._text(cond, b, place), self.timesteps(t, b).to(place["device"])
        inner = x.to(**place)
        tokens = math.prod(x.shape[2:]) // math.prod(config.patch_size)
        made = [
            transformer(inner[rows], n[rows], text[rows], return_dict=False)[0] for rows in calls(b, tokens)
        ]
        return (made[0] if len(made) == 1 else torch.cat(made)).to(x.device)

    def _text(self, cond: Condition, b: int, place: dict[str, Any]) -> Tensor:
        text = require(expand_rows({k: v for k, v in cond.items() if k != "null"}, b), "text", "Wan")
        width = int(self.transformer.config.text_dim)  # type: ignore[union-attr, arg-type]
        if not isinstance(text, Tensor) or text.ndim != 3 or text.shape[-1] != width:
            raise InputError(
                f"the condition 'text' is {describe(text)}: this transformer takes (b, n, {width})"
            )
        where = {"text": text, "device": str(place["device"]), "dtype": place["dtype"]}
        return self._moved(where, lambda: text.to(**place))
