"""What a file tells of its clips: all that it takes to make them again.

    {"format": 1, "pair": ..., "clips": [{"prompt": ..., "seed": ...}], "strategy": {...},
     "plan": null, "frames": ..., "dtype": ..., "device": ..., "fps": ..., "versions": {...}, "created_by": ...}

A clip is a function of strategy (with its plan seed), clip seed, number of frames and prompt; None as prompt is
unconditional. A plan that was replayed from a file is there in full: it stood for the strategy's selector, grid, steps and
plan seed.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from jvid import __version__
from jvid.errors import InputError
from jvid.lengths import check_frames
from jvid.plan import Plan
from jvid.strategy import Strategy

__all__ = ["Clip", "Story", "versions"]

FORMAT = 1
_PACKAGES = ("torch", "numpy", "diffusers")


@attrs.frozen
class Clip:
    """One clip to make; ``prompt`` None is unconditional."""

    prompt: str | None
    seed: int


@attrs.frozen
class Story:
    """Clips and how they are made; ``pair`` as on the command line, ``plan`` one that was replayed.

    ``frames`` of each clip; None is the pair's, as where a file does not tell.
    """

    pair: str
    clips: tuple[Clip, ...]
    strategy: Strategy
    dtype: str = "float32"
    device: str = "cpu"
    versions: Mapping[str, str] = attrs.field(factory=lambda: versions())
    plan: Plan | None = None
    frames: int | None = None

    def of(self, clips: Sequence[Clip], fps: float) -> dict[str, Any]:
        """The metadata of a file that holds ``clips``."""
        return {
            "format": FORMAT,
            "pair": self.pair,
            "clips": [attrs.asdict(clip) for clip in clips],
            "strategy": self.strategy.to_dict(),
            "plan": None if self.plan is None else self.plan.to_dict(),
            "frames": self.frames,
            "dtype": self.dtype,
            "device": self.device,
            "fps": fps,
            "versions": dict(self.versions),
            "created_by": "jvid sample",
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Story:
        """The story from a file's metadata.

        Raises:
            InputError: a key is missing, or a value has another form.
        """
        if values.get("format") != FORMAT:
            raise InputError(f"metadata of format {values.get('format')!r}: expected {FORMAT}; update jvid")
        try:
            clips = tuple(Clip(clip["prompt"], clip["seed"]) for clip in values["clips"])
            plan, frames = values.get("plan"), values.get("frames")  # older files have none
            if frames is not None:
                check_frames(frames)
            story = cls(
                str(values["pair"]), clips, Strategy.from_dict(values["strategy"]),
                str(values["dtype"]), str(values["device"]), dict(values["versions"]),
                None if plan is None else Plan.from_dict(plan), frames,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"metadata lacks or garbles something ({error}): expected a jvid file"
            ) from error
        if not clips or not all(_is_clip(clip.prompt, clip.seed) for clip in clips):
            raise InputError("metadata holds no clips with a prompt and a seed: expected a jvid file")
        return story

    def differences(self) -> list[str]:
        """Where the versions of the story are not those of now, in words."""
        now = versions()
        return [
            f"{name} {then} then, {now.get(name, 'none')} now"
            for name, then in self.versions.items()
            if now.get(name) != then
        ]


def _is_clip(prompt: Any, seed: Any) -> bool:
    return (
        isinstance(prompt, str | None) and isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0
    )


def versions() -> dict[str, str]:
    """Versions of jvid and of what its results depend on; what is not installed is left out."""
    found = {"jvid": __version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
