"""Decoding 8 frames of 64 pixels: the peak of tensors and the time, in chunks as the codecs do, against all frames at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.memory import peak_bytes
from benchmarks.ratios import claim, interleaved
from jvid.errors import MissingDependencyError
from jvid_models.codecs import taesd
from jvid_models.pair import actions_64

FRAMES, MUST, SLOWER = 8, 0.2, 1.15


@pytest.mark.parametrize("codec", ["actions-64", "taesd"])
def test_decoding_in_chunks(benchmark, codec):
    latents = torch.randn(1, 4, FRAMES, 8, 8, generator=torch.Generator().manual_seed(0))
    if codec == "taesd":
        try:
            chunked, whole = taesd(), taesd(chunk=FRAMES)
        except MissingDependencyError as error:
            pytest.skip(str(error))

        def at_once() -> Tensor:
            return whole.decode(latents)

    else:
        chunked = actions_64().codec
        decoder = chunked.decoder

        def at_once() -> Tensor:
            return decoder(latents).clamp(-1.0, 1.0)

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            error = float((chunked.decode(latents) - at_once()).abs().max())
            assert error < 1e-5, error
            seconds = interleaved({"at once": at_once, "chunks": lambda: chunked.decode(latents)}, rounds=15)
            peaks = peak_bytes(at_once), peak_bytes(lambda: chunked.decode(latents))
            benchmark.pedantic(lambda: chunked.decode(latents), rounds=3, warmup_rounds=0)
    finally:
        torch.set_num_threads(before)
    slower = seconds["chunks"] / seconds["at once"]
    claim(
        benchmark, f"{peaks[0] / 1e6:.1f} MB", f"{peaks[1] / 1e6:.1f} MB", peaks[1] / peaks[0], MUST, MUST, least=False,
        remarks=f"{slower:.2f} of the time, must {SLOWER}{' MISSED' if slower > SLOWER else ''}; largest error {error:.1e}",
    )  # fmt: skip
