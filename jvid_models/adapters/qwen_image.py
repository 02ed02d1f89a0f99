"""Qwen-Image's transformer as a network, with the guidance of its pipeline.

    v = v_null + g (v_cond - v_null),      prediction = v |v_cond| / |v|      token by token

Latents are packed: a token holds a patch of 2 x 2, ``(b c 1 (h 2) (w 2)) -> (b (h w) (c 2 2))``. The norms are of tokens, so this
guidance is within the network. Texts of several lengths have a mask where they are in one call.
Source: diffusers, https://github.com/huggingface/diffusers, ``pipelines/qwenimage/pipeline_qwenimage.py``.
"""

from __future__ import annotations

from typing import Any

import attrs
import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from jvid.core.conditions import describe, expand_rows, require
from jvid.core.levels import working_dtype
from jvid.core.protocols import Condition
from jvid.errors import InputError
from jvid_models.adapters.pipelines.turns import in_turn
from jvid_models.adapters.transformer_network import TransformerNetwork, calls

__all__ = ["QwenImageNetwork"]

_T = 1000
"""What the pipeline divides its timesteps by."""


@attrs.frozen(eq=False)
class QwenImageNetwork(TransformerNetwork):
    """The network of a ``QwenImageTransformer2DModel``; its prediction is eps - x_0, guided.

    The condition holds "text" ``(b, n, w)`` and "length" ``(b,)``, how many of its n tokens there are; so does its "null".
    """

    @property
    def own_guidance(self) -> float:
        """The scale g of the pipeline's call; 1 where that does not guide."""
        call, options = self.owner.call, self.owner.options
        scale = float(options.get("true_cfg_scale", call.parameters["true_cfg_scale"].default))
        return scale if scale > 1.0 and options.get("negative_prompt") is not None else 1.0

    @in_turn
    def _predicted(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        place, b, scale = self.place(), len(x), self.own_guidance
        config: Any = self.transformer.config
        _, c, f, h, w = x.shape
        if f != 1 or 4 * c != config.in_channels or h % 2 or w % 2:
            raise InputError(
                f"latents of shape {tuple(x.shape)}: expected one frame of {config.in_channels // 4} channels, and rows and "
                "columns in patches of 2 x 2; lift it to clips with jvid.Framewise(denoiser)"
            )
        tokens = rearrange(x, "b c 1 (h p) (w q) -> b (h w) (c p q)", p=2, q=2).to(**place)
        n = self.timesteps(t, b).to(**place) / _T
        texts = [self._text({k: v for k, v in cond.items() if k != "null"}, b)]
        if scale != 1.0:
            texts.append(self._text(require(cond, "null", "Qwen-Image's guidance"), b))
            tokens, n = torch.cat([tokens, tokens]), torch.cat([n, n])
        v = self._called(tokens, n, texts, (h // 2, w // 2), place)
        if scale != 1.0:
            conditional, other = v.to(working_dtype(v)).chunk(2)
            v = _guided(conditional, other, scale)
        return rearrange(v, "b (h w) (c p q) -> b c 1 (h p) (w q)", p=2, q=2, h=h // 2).to(x.device)

    def _called(
        self,
        tokens: Tensor,
        n: Tensor,
        texts: list[tuple[Tensor, Tensor]],
        size: tuple[int, int],
        place: dict[str, Any],
    ) -> Tensor:
        """The transformer's predictions of packed latents, in as many calls as they take."""
        lengths = [int(each) for _, length in texts for each in length.tolist()]
        rows = [row for text, _ in texts for row in text]
        made = []
        for some in calls(len(tokens), tokens.shape[1]):
            own, most = lengths[some], max(1, *lengths[some])
            text = torch.stack([_long(row, most) for row in rows[some]]).to(**place)
            mask = None
            if min(own) < most:
                mask = torch.arange(most).expand(len(own), most) < torch.tensor(own)[:, None]
                mask = mask.to(place["device"])
            found = self.transformer(
                tokens[some], text, mask, n[some], [[(1, *size)]] * len(own), return_dict=False
            )
            made.append(found[0])
        return made[0] if len(made) == 1 else torch.cat(made)

    def _text(self, cond: Any, b: int) -> tuple[Tensor, Tensor]:
        given = expand_rows(cond, b)
        text, length = require(given, "text", "Qwen-Image"), require(given, "length", "Qwen-Image")
        width = int(self.transformer.config.joint_attention_dim)  # type: ignore[union-attr, arg-type]
        if not isinstance(text, Tensor) or text.ndim != 3 or text.shape[-1] != width:
            raise InputError(
                f"the condition 'text' is {describe(text)}: this transformer takes (b, n, {width})"
            )
        return text, length


def _long(text: Tensor, length: int) -> Tensor:
    """A text ``(n w)`` of another length, cut or with zeros behind it."""
    return pad(text[:length], (0, 0, 0, max(0, length - len(text))))


def _guided(conditional: Tensor, other: Tensor, scale: float) -> Tensor:
    """Guidance at the conditional's norm, token by token ``(b n c)``."""
    found = other + scale * (conditional - other)
    wanted, had = (torch.linalg.vector_norm(each, dim=-1, keepdim=True) for each in (conditional, found))
    return found * (wanted / had)
