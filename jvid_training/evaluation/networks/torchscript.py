"""Detectors as TorchScript files, by path: those that StyleGAN-V and StyleGAN2-ADA compute their figures with.

The arguments of the file's ``forward`` show what it is:

    (rescale, resize, return_features)    I3D: uint8 (n 3 f H W) -> (n 400), the logits; it resizes inside
    (return_features, no_output_bias)     Inception: uint8 (n 3 H W) -> (n 2048) features, or class probabilities without the
                                          bias before the softmax, as the inception score wants them

An Inception of 2048 features and 1008 classes has the shape of the standard one, inception-2015-12-05: its
figures are plain "FID" and "IS". Anything else is named by its file. The file's fingerprint goes into the
results, so that it can be checked.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from jvid.errors import InputError, one_line
from jvid_training.evaluation.networks.protocol import Kind, fingerprint_of

__all__ = ["TorchScriptNetwork"]

_I3D = {"rescale", "resize", "return_features"}
_INCEPTION = {"return_features", "no_output_bias"}
_STANDARD = (2048, 1008)


class TorchScriptNetwork:
    """A detector by its path; see the module's head. InputError for a file that is no such detector."""

    def __init__(self, path: str | Path) -> None:
        file = Path(path)
        self.fingerprint = fingerprint_of(file, "torchscript uint8 1")
        try:
            self.network = torch.jit.load(str(file), map_location="cpu").eval()
            arguments = {argument.name for argument in self.network.forward.schema.arguments}
        except (RuntimeError, ValueError, AttributeError) as error:
            reason = one_line(error)[:120]
            raise InputError(f"{file} is no TorchScript file: {reason}; give a detector's .pt file") from None
        self.name = file.stem
        self.kind: Kind
        if arguments >= _I3D:
            self.kind = "clip"
        elif arguments >= _INCEPTION:
            self.kind = "frame"
        else:
            raise InputError(
                f"{file}: its forward takes {', '.join(sorted(arguments - {'self'}))}; expected an I3D detector "
                f"({', '.join(sorted(_I3D))}) or an Inception ({', '.join(sorted(_INCEPTION))})"
            )
        self.standard = False
        if self.kind == "frame":
            probe = self(np.zeros((1, 1, 64, 64, 3), np.uint8))
            self.standard = (probe["features"].shape[-1], probe["probabilities"].shape[-1]) == _STANDARD

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """A clip at a time."""
        rows: dict[str, list[np.ndarray]] = {}
        for clip in torch.from_numpy(np.array(frames)).permute(0, 4, 1, 2, 3):  # 3 f H W
            if self.kind == "clip":
                made = {
                    "features": self.network(clip[None], rescale=True, resize=True, return_features=True)[0]
                }
            else:
                images = clip.transpose(0, 1).contiguous()
                made = {
                    "features": self.network(images, return_features=True),
                    "probabilities": self.network(images, no_output_bias=True),
                }
            for key, value in made.items():
                rows.setdefault(key, []).append(value.float().numpy())
        return {key: np.stack(parts) for key, parts in rows.items()}
