"""The commands of a page, as words that a shell takes: those that make its sets, and the one that makes it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jvid.ensemble.source import Source
    from jvid_training.generation.sets import ClipSet

__all__ = ["ensemble_words", "file_name", "generate_command"]


def generate_command(clips: ClipSet, name: str) -> str:
    """``jvid generate`` of a set, whose strategy is in a file of the row's ``name``."""
    spec = clips.spec
    words = ["jvid", "generate", "--out", str(clips.folder), "--num", str(spec.num)]
    words += [*ensemble_words(spec.ensemble), "--strategy", file_name(name), "--seed", str(spec.seed)]
    for option in ("batch", "micro_batch", "frames", "threads", "device", "dtype"):
        words += [f"--{option.replace('_', '-')}", str(getattr(spec, option))]
    return shlex.join(words + [word for prompt in spec.prompts for word in ("--prompt", prompt)])


def ensemble_words(source: Source) -> list[str]:
    """The options by which every command of jvid loads the ensemble of ``source``."""
    words = ["--ensemble", source.name] if source.name else []
    for name, each in source.experts.items():
        words += ["--expert", f"{name}={each}"]
    for name, each in source.text.items():
        words += ["--text", each if name == "*" else f"{name}={each}"]
    stated = {
        "--codec": source.codec,
        "--shape": source.shape and ",".join(map(str, source.shape)),
        "--fps": source.fps and f"{source.fps:g}",
        "--schedule": source.schedule,
    }
    words += [word for option, value in stated.items() if value for word in (option, value)]
    return [*words, "--same-space"] if source.same_space else words


def file_name(name: str) -> str:
    """Of a row's strategy, as the commands have it."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in name)
    return f"{kept.strip('-') or 'strategy'}.json"
