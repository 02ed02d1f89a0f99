"""Latents that a pipeline's decoder gets as they are, those among them that the pipeline would keep for itself.

scheduler.step ---> the pipeline's own first frame beside the latents ---> decoder
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jvid_models.adapters.pipelines.loops import autoencoder_of, has_autoencoder
from jvid_models.adapters.pipelines.replaced import replaced
from jvid_models.adapters.pipelines.setting import Setting

__all__ = ["decoding", "joined"]


@contextmanager
def decoding(setting: Setting, latents: Tensor) -> Iterator[bool]:
    """Within the block the decoder gets latents ``(b c f h w)`` whole; yields whether it does.

    It does not where a method behind the loop still changes them: there the pipeline's own are encoded anew.
    """
    passes, layout = setting.passes, setting.layout
    pipe = passes.call.pipe
    if layout.kept is None:
        yield True
        return
    if passes.finishing.left_out is not None or not has_autoencoder(pipe):
        yield False
        return
    own = autoencoder_of(pipe).decode

    def decode(z: Tensor, *args: Any, **kwargs: Any) -> Any:
        return own(layout.with_kept(z, latents, passes.call.who), *args, **kwargs)  # type: ignore[operator]

    with replaced(autoencoder_of(pipe), decode=decode):
        yield True


def joined(rows: Sequence[Any]) -> Any:
    """The frames of several clips in the form of those of one: an array, a tensor, or a list."""
    if isinstance(rows[0], Tensor):
        return torch.cat(list(rows))
    if isinstance(rows[0], np.ndarray):
        return np.concatenate(rows)
    return [clip for row in rows for clip in row]
