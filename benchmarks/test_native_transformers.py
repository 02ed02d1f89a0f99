"""jvid's own adapters of transformers against the pipelines' own calls: one guided evaluation, medians of turns.

Seconds are those of the processor on one thread, which other processes disturb less.

Pipelines are tiny, with random weights; "dim 256" has a transformer of four layers of that width in its place. A network that is
free gives a tensor that is there: what is left is what an evaluation costs beside the network, at a published size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
import diffusers
import pytest
import torch
from torch import Tensor

import jvid
from benchmarks.published import tiny
from benchmarks.ratios import claim, interleaved, threads
from jvid_models.ensembles.pipelines import pipeline_ensemble

WAN, FIVE, QWEN = "WanPipeline", "WanPipeline:5b", "QwenImagePipeline"


@attrs.frozen
class NativeCase:
    """One pipeline at one size: of how many clips, of which width, and what the ratio must be."""

    name: str
    what: str
    sizes: tuple[int, ...] = ()
    width: int | None = None
    clips: int = 1
    must: float | None = 0.9
    free: bool = False

    @property
    def options(self) -> dict[str, int]:
        return dict(zip(("height", "width", "num_frames"), self.sizes, strict=False))


CASES = [
    NativeCase(WAN, "Wan, tiny, 12 tokens", must=1.3),
    NativeCase(WAN, "Wan, dim 256, 640 tokens", (128, 256, 17), 256),
    NativeCase(WAN, "Wan, dim 256, 1,280 tokens", (256, 256, 17), 256),
    NativeCase(FIVE, "Wan 5B, tiny, 12 tokens", must=1.3),
    NativeCase(FIVE, "Wan 5B, dim 256, 384 tokens", (256, 512, 9), 256, must=1.1),
    NativeCase(FIVE, "Wan 5B, dim 256, 1,280 tokens", (512, 512, 17), 256, must=1.1),
    NativeCase(QWEN, "Qwen-Image, tiny, 16 tokens", must=1.3),
    NativeCase(QWEN, "Qwen-Image, dim 256, 256 tokens", (256, 256), 256),
    NativeCase(QWEN, "Qwen-Image, dim 256, 4 frames of 64 tokens", (128, 128), 256, 4),
    NativeCase(QWEN, "Qwen-Image, dim 256, 1,024 tokens", (512, 512), 256),
    NativeCase(WAN, "Wan, a free network, 81 frames of 480x832", (480, 832, 81), must=None, free=True),
]


def wider(transformer: Any, width: int) -> Any:
    """A transformer of four layers of a width, with heads of 64, that takes the same latents and texts."""
    config = dict(transformer.config)
    config |= {"num_layers": 4, "attention_head_dim": 64, "num_attention_heads": width // 64}
    more = {"ffn_dim": 4 * width, "freq_dim": 64, "rope_max_seq_len": 128, "axes_dims_rope": (16, 24, 24)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return type(transformer).from_config(config | {k: v for k, v in more.items() if k in config}).eval()


def free(pipe: Any) -> None:
    """Let the transformer answer at once."""
    answers: dict[tuple[int, ...], Tensor] = {}

    def forward(hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor]:
        key = tuple(hidden_states.shape)
        return (answers.setdefault(key, torch.ones(key)),)

    pipe.transformer.__dict__["forward"] = forward


def evaluation(case: NativeCase, pipe: Any, arguments: dict[str, Any], native: bool) -> Callable[[], Tensor]:
    """One guided evaluation, with the condition of a run."""
    made = pipeline_ensemble(pipe, native=native, **{**arguments, **case.options})
    (expert,) = made.experts
    x = torch.randn((case.clips, *made.shape), generator=torch.Generator().manual_seed(0))
    cond = made.condition(["a red cat"] * case.clips)
    scales = [each.options["scale"] for each in made.member(expert).wrappers]
    denoiser = jvid.Guided(made.denoiser(expert), scales[0]) if scales else made.denoiser(expert)
    return lambda: denoiser(x, torch.tensor(0.5, dtype=torch.float64), cond)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_one_guided_evaluation(benchmark: Any, case: NativeCase) -> None:
    built = tiny.build(case.name)
    pipe = built.pipe
    arguments = {k: v for k, v in built.arguments.items() if k not in ("prompt", "num_inference_steps")}
    if case.width is not None:
        pipe.transformer = wider(pipe.transformer, case.width)
    if case.free:
        free(pipe)
    assert isinstance(pipe.transformer, diffusers.ModelMixin)
    with threads(1) as stated, torch.no_grad():
        sides = {
            "pipeline's call": evaluation(case, pipe, arguments, False),
            "adapter": evaluation(case, pipe, arguments, True),
        }
        one, other = (run() for run in sides.values())
        error = float((one - other).abs().max() / one.abs().max())
        assert error < 1e-5, error
        rounds = 9 if case.width else 15
        medians = benchmark.pedantic(
            interleaved, args=(sides,), kwargs={"rounds": rounds, "clock": time.process_time}, rounds=1
        )
    stock, ours = medians["pipeline's call"], medians["adapter"]
    claim(
        benchmark, f"{1e3 * stock:.1f} ms", f"{1e3 * ours:.1f} ms", stock / ours, case.must,
        figure=f"{case.what}, {stated}", remarks=f"largest difference {error:.0e}",
    )  # fmt: skip
