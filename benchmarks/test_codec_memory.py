"""Decoding 8 frames of 64 pixels: the peak of tensors and the time, in chunks as the codecs do, against all frames at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.memory import peak_bytes
from benchmarks.ratios import claim, interleaved, threads
from jvid.errors import MissingDependencyError
from jvid_models.codecs import taesd
from jvid_models.ensembles.bundled import actions_64

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

    sides = {"at once": at_once, "chunks": lambda: chunked.decode(latents)}
    with threads(1) as used, torch.inference_mode():
        error = float((sides["chunks"]() - sides["at once"]()).abs().max())
        assert error < 1e-5, error
        peaks = [peak_bytes(run) for run in sides.values()]
        seconds = benchmark.pedantic(interleaved, args=(sides,), kwargs={"rounds": 15}, rounds=1)
    whole, parts = seconds.values()
    remarks = f"{FRAMES} frames of 64 pixels at once and in chunks, {used}, largest error {error:.1e}"
    claim(
        benchmark, f"{peaks[0] / 1e6:.1f} MB", f"{peaks[1] / 1e6:.1f} MB", peaks[1] / peaks[0], MUST, least=False,
        figure=f"peak of decoding, {codec}", remarks=remarks,
    )  # fmt: skip
    claim(
        benchmark, f"{whole:.3f} s", f"{parts:.3f} s", parts / whole, SLOWER, least=False,
        figure=f"seconds of decoding, {codec}", remarks=remarks,
    )  # fmt: skip
