"""Encoding by a codec over time: in windows, each a clip of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_training.data.blocks import Alone
from jvid_training.data.encoder import encoder_of
from jvid_training.data.latents import encode
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.recipe import structure_recipe
from jvid_training.train.tasks import sources_of
from tests.caption_tools import captioned, make_captioned

RATE, FRAMES = 3, 7


class Sums:
    """A codec over time: each latent frame is the sum of all pixels up to its last frame, by colour and over all."""

    rate = RATE

    def encode(self, video: Tensor) -> Tensor:
        assert video.shape[2] == FRAMES, "a window at a time"
        sums = torch.nn.functional.avg_pool3d(video, (1, 8, 8)).cumsum(2)[:, :, ::RATE]
        return torch.cat([sums, sums.sum(1, keepdim=True)], 1)


def test_windows_are_sequences_of_the_length_of_their_latents(tmp_path: Path) -> None:
    make_captioned(tmp_path / "clips")
    document = captioned(tmp_path, "video", steps=1, batch=2)
    document["data"] |= {"frames": FRAMES, "fps": 25}
    recipe = structure_recipe(document)
    manifest = encode(recipe.data, recipe.codec, tmp_path / "clips", Alone(encoder_of(Sums())))
    assert manifest.frames == 3
    assert {sequence.length for sequence in manifest.sequences} == {3}
    clips = [sequence.clip for sequence in manifest.sequences]
    assert set(map(clips.count, clips)) == {2}  # of 20 frames, two windows of 7
    windows = Windows(tmp_path / "latents")
    window = windows.draw(generator(0, 0, 0))
    mean, std = (torch.tensor(values).view(-1, 1, 1, 1) for values in (manifest.mean, manifest.std))
    z, frames = windows.latents(window) * std + mean, windows.video(window)
    assert (z.shape[1], frames.shape[1]) == (3, 3)
    # The first latent frame is that of the window's first frame, whose pixels lie beside it.
    torch.testing.assert_close(z[:3, :1], torch.nn.functional.avg_pool3d(frames[:, :1], (1, 8, 8)))
    decoder = structure_recipe({**captioned(tmp_path, "decoder"), "data": document["data"]})
    with pytest.raises(
        InputError, match="encodes over time: a decoder recipe decodes latents frame by frame"
    ):
        sources_of(decoder)
