"""Command lines whose options hold what they should not."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from jvid.cli.app import command
from tests.fuzz import values
from tests.toy import PROMPTS

__all__ = ["command_line"]

TOY = ["--ensemble", "toy", "--steps", "2"]
BASES: dict[str, list[str]] = {
    "sample": [PROMPTS[0], *TOY, "-o", "out.png"],
    "compare": [PROMPTS[0], *TOY, "-o", "out.png"],
    "plan": TOY,
    "show": ["toy"],
    "names": [],
    "check": ["selector", "always:name=video"],
    "plugins": [],
    "generate": ["-o", "out", "-n", "2", *TOY],
    "evaluate": ["real:training", "-r", "data/latents", "--metric", "flicker"],
    "report": ["set", "-o", "out.html"],
    "sheets": ["-o", "out", *TOY],
    "curves": ["data/run", "-o", "out.png"],
    "export": ["-o", "out", "--expert", "video=tiny#video", "--decoder", "tiny"],
    "encode": ["data/recipe.toml"],
    "train": ["data/recipe.toml"],
    "sweep": ["study.toml", "--trials", "1"],
    "ablation": ["study.toml"],
}
_NEVER = {"--help", "--processes", "--workers"}  # processes of their own would load the libraries again
_PATHS = [
    "",
    ".",
    "out",
    "tiny",
    "tiny/ensemble.json",
    "strategy.json",
    "plan.json",
    "z.safetensors",
    "nowhere/x.png",
    "/dev/null",
    "x" * 300 + ".png",
]
_WORDS = [
    "guided:scale=1e308", "guided:scale=2,low=.9,high=.1", "always", "always:name=audio", "piecewise-affine",
    "boundary:at=nan", "ddim:eta=1e9",
    "leading:", "explicit:times=1+0", "explicit:times=0+1", "temporal:size=999999", "shared:ratio=2", "gaussian:std=1e9",
    "cycle:lengths=1000000000000+1",
    "video=", "=video", "image=always", "video=guided:scale=inf", "pndm", "toy:broken=true", "toy:nothing=1",
    "tiny#video", "1GB", ".5", "0", "auto",
    "plan", "none", "float16", "cpu:7", "meta", "mps", "cuda:99", "explicit:times=1+1e-177+0", "table:rows=x", "chance:p=2",
]  # fmt: skip


@cache
def _options(name: str) -> tuple[tuple[str, bool], ...]:
    """The options of a command, each with whether it is a flag."""
    group: Any = command()
    found = group.get_command(None, name)
    if not hasattr(found, "params") or type(found).__name__ == "_Contributed":
        found = found._load(name)
    return tuple(
        (parameter.opts[0], bool(getattr(parameter, "is_flag", False)))
        for parameter in found.params
        if getattr(parameter, "param_type_name", "") == "option" and parameter.opts[0] not in _NEVER
    )


def command_line(draw: random.Random) -> list[str]:
    """A command with one to three options more, a word changed, or a word left out."""
    name = draw.choice(list(BASES))
    words = [name, *BASES[name]]
    for _ in range(draw.choice([1, 1, 2, 3])):
        how = draw.randrange(8)
        if how < 6 and (options := _options(name)):
            option, flag = draw.choice(options)
            words += [option] if flag else [option, _value(draw)]
        elif how == 6 and len(words) > 1:
            words[draw.randrange(1, len(words))] = _value(draw)
        elif len(words) > 1:
            del words[draw.randrange(1, len(words))]
    return [word.replace("\0", "") for word in words]  # which no system passes on


def _value(draw: random.Random) -> str:
    kind = draw.randrange(4)
    if kind == 0:
        return draw.choice(values.TEXTS)
    if kind == 1:
        number = draw.choice(values.NUMBERS)
        return "1" + "0" * 400 if isinstance(number, int) and number > 10**300 else str(number)
    return draw.choice(_PATHS if kind == 2 else _WORDS)
