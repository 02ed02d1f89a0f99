"""CPU seconds that an evaluation of a pipeline costs beside its network, at the latent sizes of published models.

The network is replaced by one that gives a tensor that is there, and components have as many modules as those of the published
model: diffusers looks through them. An evaluation is compared with a turn of the pipeline's own loop, which packs, guides and
steps too. ``python -m benchmarks.published.overhead [NAME ...]``.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import nn

from benchmarks.published.comparison import decoder_input
from benchmarks.published.tiny import build
from jvid_models.adapters.pipelines import PipelinePrompts, from_pipeline
from jvid_models.adapters.pipelines.entry import leaving_at_the_decoder
from jvid_models.adapters.pipelines.networks import modules_of

SIZES: dict[str, tuple[str, dict[str, int], int]] = {
    "Wan, 81 frames of 480x832": ("WanPipeline", {"height": 480, "width": 832, "num_frames": 81}, 16),
    "Flux, 1024x1024": ("FluxPipeline", {"height": 1024, "width": 1024}, 64),
    "LTX, 257 frames of 768x1344": ("LTXPipeline", {"height": 768, "width": 1344, "num_frames": 257}, 128),
}


MODULES = {
    "WanPipeline": {"transformer": 1138, "text_encoder": 487, "vae": 260},
    "FluxPipeline": {"transformer": 1275, "text_encoder": 151, "text_encoder_2": 464, "vae": 243},
    "LTXPipeline": {"transformer": 775, "text_encoder": 464, "vae": 412},
}
"""How many modules the components of published models have: of diffusers' defaults, T5 XXL, UMT5 XXL and CLIP L."""


@frozen
class Overhead:
    """Milliseconds of CPU time at one size: an evaluation, a turn of the pipeline's own loop, and learning the layout once."""

    values: int
    evaluation: float
    turn: float
    learning: float

    @property
    def beside(self) -> float:
        """What an evaluation costs beyond a turn."""
        return self.evaluation - self.turn


def measure(size: str, times: int = 7) -> Overhead:
    """The overhead at one of ``SIZES``: medians of some evaluations and turns."""
    name, sizes, channels = SIZES[size]
    tiny = build(name)
    pipe = tiny.pipe
    if name == "LTXPipeline":
        pipe.transformer.register_to_config(in_channels=channels)
        pipe.vae.latents_mean, pipe.vae.latents_std = torch.zeros(channels), torch.ones(channels)
    for part, module in modules_of(pipe).items():
        more = MODULES[name][part] - sum(1 for _ in module.modules()) - 1
        module.add_module("more", nn.ModuleList([nn.Identity() for _ in range(more)]))
    answers: dict[tuple[int, ...], torch.Tensor] = {}

    def forward(hidden_states: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor]:
        key = tuple(hidden_states.shape)
        if key not in answers:
            answers[key] = torch.ones(key)
        return (answers[key],)

    pipe.transformer.__dict__["forward"] = forward
    options = {k: v for k, v in tiny.arguments.items() if k not in ("prompt", "num_inference_steps", *sizes)}
    denoiser = from_pipeline(pipe, untested=True, **options, **sizes)
    learning = _milliseconds(lambda: denoiser.shape)
    x, cond = torch.randn(1, *denoiser.shape), PipelinePrompts()([tiny.arguments["prompt"]])
    t = torch.tensor(0.7, dtype=torch.float64)
    denoiser(x, t, cond)
    evaluation = statistics.median(_milliseconds(lambda: denoiser(x, t, cond)) for _ in range(times))

    def stock(steps: int) -> float:
        call = {**tiny.arguments, **sizes, "num_inference_steps": steps, "output_type": "pt"}
        with leaving_at_the_decoder(pipe):
            return _milliseconds(lambda: decoder_input(lambda: pipe(**call)))

    stock(2)
    turn = statistics.median((stock(12) - stock(2)) / 10 for _ in range(3))
    return Overhead(x.numel(), evaluation, turn, learning)


def _milliseconds(call: Callable[[], Any]) -> float:
    started = time.process_time()
    call()
    return 1e3 * (time.process_time() - started)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for size in SIZES:
        if sys.argv[1:] and not size.startswith(tuple(sys.argv[1:])):
            continue
        found = measure(size)
        print(
            f"{size}: {found.values / 1e6:.1f} M values, evaluation {found.evaluation:.1f} ms, the pipeline's own turn "
            f"{found.turn:.1f} ms, beside {found.beside:.1f} ms; learned in {found.learning / 1e3:.1f} s",
            flush=True,
        )
