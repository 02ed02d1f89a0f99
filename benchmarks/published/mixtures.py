"""Mixtures of pipelines that share a latent space, each pair of the spaces below, from prompt to frames.

``python -m benchmarks.published.mixtures [PART ...]`` prints them; PART is a part of a class's name. ``--write`` writes the page
docs/mixtures.md. A pair *mixes* if its experts take turns in four steps, the result is finite, differs from that of each alone,
and is decoded. Whether a mixture looks better, random weights do not show.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from attrs import frozen
from torch import Tensor

import jvid
from benchmarks.published import tiny
from jvid.errors import JvidError
from jvid.files import whole_file
from jvid_models.ensembles.pipelines import pipeline_ensemble

__all__ = ["ITSELF", "PAGE", "SPACES", "Mixture", "Space", "mixture", "pairs", "row"]

PAGE = Path(__file__).parents[2] / "docs" / "mixtures.md"

TEXT = """# Mixtures of published pipelines

Pipelines of diffusers {version} that share a latent space. jvid mixes each pair of them here, from prompt to frames.

* The weights are tiny and random. They show that a mixture runs and that each expert counts in it, not how it looks.
* The experts take turns in {steps} steps of DDIM, on the times of the first one.
* *change* is the largest difference of the result from that of the nearest expert alone, relative to its largest latent.
* Spaces are equal by what jvid measures: channels, scale, shift and compression ([ensembles](ensembles.md)).
* In a space that compresses time, an expert of pictures predicts the first latent frame, by the wrapper `first-frame`.
* Cosmos 1 normalises each latent frame by values of its own: a single frame is in another space than the first of a clip is.
* Cosmos 2 video to world is given its first frame: at one frame it predicts nothing.

`python -m benchmarks.published.mixtures --write` writes this page.

{tally}

| space | expert of clips | other expert | frames | change | refused because |
| --- | --- | --- | --- | ---: | --- |
{rows}
"""

_NOT_OPTIONS = ("prompt", "num_inference_steps")
_STEPS = 4
ITSELF = "itself at one frame"


@frozen
class Space:
    """Pipelines that share a latent space.

    Attributes:
        clips: classes of clips.
        frames: classes of pictures; none where a clip expert at one frame is the frame expert.
        one_frame: whether each clip expert is mixed with itself at one frame, too.
    """

    clips: tuple[str, ...]
    frames: tuple[str, ...] = ()
    one_frame: bool = False


SPACES = {
    "Stable Diffusion": Space(
        (
            "TextToVideoSDPipeline",
            "AnimateDiffPipeline",
            "StableVideoDiffusionPipeline",
            "I2VGenXLPipeline",
            "LattePipeline",
        ),
        (
            "StableDiffusionPipeline",
            "StableDiffusionPipeline:2",
            "LatentConsistencyModelPipeline",
            "PixArtAlphaPipeline",
        ),
    ),
    "Stable Diffusion XL": Space(
        ("AnimateDiffSDXLPipeline",), ("StableDiffusionXLPipeline", "PixArtSigmaPipeline")
    ),
    "Wan 2.1": Space(
        (
            "WanPipeline",
            "WanPipeline:2.2",
            "WanImageToVideoPipeline",
            "SkyReelsV2Pipeline",
            "Cosmos2VideoToWorldPipeline",
        ),
        ("QwenImagePipeline", "Cosmos2TextToImagePipeline"),
        one_frame=True,
    ),
    "HunyuanVideo": Space(("HunyuanVideoPipeline", "Kandinsky5T2VPipeline"), one_frame=True),
    "LTX": Space(("LTXPipeline",), one_frame=True),
    "CogVideoX": Space(("CogVideoXPipeline",), one_frame=True),
    "Mochi": Space(("MochiPipeline",), one_frame=True),
    "Wan 2.2, 5B": Space(("WanPipeline:5b",), one_frame=True),
    "Cosmos 1": Space(("CosmosTextToWorldPipeline",), one_frame=True),
    "HunyuanVideo 1.5": Space(("HunyuanVideo15Pipeline",), one_frame=True),
}


@frozen
class Mixture:
    """Two pipelines, and what became of them.

    Attributes:
        space: of `SPACES`.
        video: the class of the expert of clips.
        image: that of the other expert, or `ITSELF`.
        frames: shape ``(b, 3, f, H, W)`` of what is decoded; None where it does not mix.
        change: the largest difference from the nearer expert alone, relative to the largest latent.
        reason: why it does not mix.
    """

    space: str
    video: str
    image: str
    frames: tuple[int, ...] | None = None
    change: float = 0.0
    reason: str = ""


def pairs() -> Iterator[Mixture]:
    """Each pair: an expert of clips with each of pictures, with itself at one frame, and with the next expert of clips."""
    for name, space in SPACES.items():
        for video in space.clips:
            yield from (Mixture(name, video, image) for image in space.frames)
            if space.one_frame and _takes_a_frame(video):
                yield Mixture(name, video, ITSELF)
        for one, other in zip(space.clips, space.clips[1:], strict=False):
            yield Mixture(name, one, other)


def mixture(pair: Mixture) -> Mixture:
    """Mix a pair; what fails is in ``reason``."""
    try:
        return _mixed(pair)
    except JvidError as error:
        return Mixture(pair.space, pair.video, pair.image, reason=str(error).split(" (")[0])


def _mixed(pair: Mixture) -> Mixture:
    itself = pair.image == ITSELF
    other = _ensemble(pair.video, num_frames=1) if itself else _ensemble(pair.image)
    experts = {**_experts("video", _ensemble(pair.video)), **_experts("image", other)}
    made = jvid.load("ensemble", **experts, fps=8.0)
    compresses = made.frames is not None and made.frames.factor > 1
    first = (f"first-frame:others={next(iter(experts))}",) if compresses else ()
    own = {name: jvid.ExpertStrategy(first) for name in made.frame_experts}

    def latents(selector: str) -> Tensor:
        strategy = jvid.Strategy(selector, "ddim", "native", steps=_STEPS, experts=own)
        composition = jvid.Composition(strategy, made)
        return composition.sampler()(made.shape, seeds=[0], cond=composition.condition(["a fox"]))

    mixed = latents(f"cycle:experts={'+'.join(experts)}")
    alone = [latents(f"always:name={name}") for name in experts]
    frames = made.codec.decode(mixed)
    if not (bool(mixed.isfinite().all()) and bool(frames.isfinite().all())):
        return Mixture(pair.space, pair.video, pair.image, reason="the result is not finite")
    change = min(float((mixed - each).abs().max() / each.abs().max()) for each in alone)
    if change == 0.0:
        return Mixture(pair.space, pair.video, pair.image, reason="one of them makes no difference")
    return Mixture(pair.space, pair.video, pair.image, tuple(frames.shape), change)


@cache
def _built(name: str) -> tiny.Tiny:
    return tiny.build(name)


def _experts(name: str, ensemble: jvid.Ensemble) -> dict[str, jvid.Ensemble]:
    """The experts of an ensemble by the names that they have in the mixture: its own where it has several."""
    return dict.fromkeys([name] if len(ensemble.experts) == 1 else ensemble.experts, ensemble)


def _takes_a_frame(name: str) -> bool:
    return "num_frames" in _built(name).arguments and ":2.2" not in name


def _ensemble(name: str, **options: Any) -> jvid.Ensemble:
    given = {k: v for k, v in _built(name).arguments.items() if k not in _NOT_OPTIONS} | options
    inputs = {k: v for k, v in given.items() if not isinstance(v, str | int | float | bool | None)}
    own = {k: v for k, v in given.items() if k not in inputs}
    return pipeline_ensemble(_built(name).pipe, inputs=inputs, untested=True, **own)


def row(found: Mixture) -> str:
    """The row of a pair in the page."""
    frames = "" if found.frames is None else "x".join(str(found.frames[i]) for i in (2, 3, 4))
    change = f"{found.change:.1g}" if found.frames else ""
    return f"| {found.space} | {found.video} | {found.image} | {frames} | {change} | {found.reason} |"


def _write(findings: Sequence[Mixture]) -> None:
    mixed = sum(each.frames is not None for each in findings)
    text = TEXT.format(
        version=version("diffusers"),
        steps=_STEPS,
        tally=f"Of {len(findings)} pairs {mixed} mix.",
        rows="\n".join(map(row, findings)),
    )
    with whole_file(PAGE) as part:
        part.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Print each pair, and write the page; the exit status is 1 if one does not mix."""
    warnings.simplefilter("ignore")
    diffusers.utils.logging.set_verbosity_error()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    parts = [each for each in arguments if each != "--write"]
    findings = []
    for pair in pairs():
        if not parts or any(part in pair.video or part in pair.image for part in parts):
            findings.append(mixture(pair))
            print(row(findings[-1]), flush=True)
    if "--write" in arguments and not parts:
        _write(findings)
    return int(any(each.frames is None for each in findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
