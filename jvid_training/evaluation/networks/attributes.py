"""Attributes of pictures: what a small convolutional network of one's own reads off each frame.

    frames uint8 (n f H W 3) -> {"features": (n f 192), "logits": (n f sum of values)}

A folder of it holds ``attributes.json``, with the values of each attribute in order, and ``model.safetensors``;
`jvid_training.evaluation.attributes` trains it. "logits" are those of the first attribute's values, then the second's, and so on.
As a feature network it knows the pictures that the clips are of, which networks of photographs do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jvid.errors import InputError, MissingDependencyError, one_line
from jvid.files import read_json
from jvid_models.weights import read_weights
from jvid_training.evaluation.networks.protocol import Kind, batched, fingerprint_of

__all__ = ["AttributeClassifier", "AttributeNetwork"]

DESCRIPTION, WEIGHTS = "attributes.json", "model.safetensors"
_WIDTHS = (32, 64, 128, 192)


class AttributeClassifier(nn.Module):
    """Frames ``(n 3 H W)`` in [-1, 1] -> features ``(n 192)`` and logits ``(n values)``; an odd side is padded by zeros.

    ``values``: those of each attribute, in order.
    """

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.values = {key: tuple(each) for key, each in values.items()}
        first, *widths = _WIDTHS
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, first, 3, padding=1), nn.SiLU()]
        for narrow, wide in zip(_WIDTHS, widths, strict=False):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), _Residual(wide)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(2 * _WIDTHS[-1], _WIDTHS[-1])
        self.classes = nn.Linear(_WIDTHS[-1], sum(map(len, self.values.values())))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Features before the last layer, and the logits of all attributes side by side."""
        height, width = frames.shape[-2:]
        x = self.layers(nn.functional.pad(frames, (0, width % 2, 0, height % 2)))
        pooled = torch.cat([x.mean((-2, -1)), x.amax((-2, -1))], -1)
        features = nn.functional.silu(self.head(pooled))
        return features, self.classes(features)

    def split(self, logits: Tensor) -> dict[str, Tensor]:
        """Logits ``(... values)`` -> those of each attribute."""
        parts = logits.split([len(each) for each in self.values.values()], -1)
        return dict(zip(self.values, parts, strict=True))


class _Residual(nn.Module):
    """x + C(silu(C(silu(N(x))))), N a group norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """``(n width h w)``."""
        out: Tensor = x + self.layers(x)
        return out


class AttributeNetwork:
    """The classifier of a folder as a feature network.

    Raises:
        MissingDependencyError: no such folder.
        InputError: a description or weights of another network.
    """

    name = "attributes"
    kind: Kind = "frame"

    def __init__(self, path: str | Path) -> None:
        folder = Path(path)
        if not (folder / DESCRIPTION).is_file():
            raise MissingDependencyError(
                f"no {DESCRIPTION} in {folder}: expected a folder of an attribute classifier; give its path"
            )
        self.description: dict[str, Any] = read_json(
            folder / DESCRIPTION, "what training an attribute classifier wrote", "train it again"
        )
        self.fingerprint = fingerprint_of(folder / WEIGHTS, f"attributes 1 {self.description['values']}")
        self.classifier = AttributeClassifier(self.description["values"])
        try:
            self.classifier.load_state_dict(read_weights(folder / WEIGHTS))
        except RuntimeError as error:
            raise InputError(
                f"{folder / WEIGHTS} does not fit {DESCRIPTION}: {one_line(error, first=True)}; train it again"
            ) from None
        self.classifier.eval().requires_grad_(False)

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """The values that it knows of each attribute."""
        return self.classifier.values

    def log_probabilities(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """Logits ``(... values)`` -> log p of each attribute's values."""
        parts = self.classifier.split(torch.from_numpy(np.array(logits, np.float32)))
        return {key: part.log_softmax(-1).numpy() for key, part in parts.items()}

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """A clip at a time."""
        made = [self.classifier(clip / 127.5 - 1) for clip in batched(frames)]
        features, logits = (np.stack([each[k].numpy() for each in made]) for k in range(2))
        return {"features": features, "logits": logits}
