"""Arguments of calls, and parts, that several families share."""

from __future__ import annotations

from typing import Any

from benchmarks.published.tiny.components import autoencoders, encoders, languages, tokenizers
from benchmarks.published.tiny.parts import clip, picture

PROMPT = {"prompt": "a red cat", "num_inference_steps": 3, "guidance_scale": 5.0}

PICTURE = PROMPT | {"height": 64, "width": 64}
"""A picture by a UNet."""

FRAMES = PICTURE | {"num_frames": 3}
"""A clip of which each latent frame is a frame, and its first picture."""

FIRST = picture(64, 64)

SHOTS = clip(64, 64, 3)
"""The clip that such a pipeline is given."""

SQUARE = PICTURE | {"guidance_scale": 4.0}
"""A picture by a transformer."""

SHORT = SQUARE | {"max_sequence_length": 32}

PACKED = {name: value for name, value in SHORT.items() if name != "guidance_scale"}

CLIP = SHORT | {"height": 32, "width": 48, "num_frames": 5}
"""A clip compressed in time, and its first picture."""

GIVEN = picture(32, 48)

GIVEN_CLIP = clip(32, 48, 5)
"""The clip that such a pipeline is given."""

T5: dict[str, Any] = {"text_encoder": encoders.t5(), "tokenizer": tokenizers.t5()}
GEMMA2: dict[str, Any] = {"text_encoder": languages.gemma("2"), "tokenizer": tokenizers.gemma()}
QWEN = tokenizers.qwen()
FLUX_SPACE = autoencoders.flux()
HEADS: dict[str, Any] = {"attention_head_dim": 16, "num_attention_heads": 2}
