"""Prompts of the command line, or of a file: one a line, or JSON lines with a seed each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jvid.errors import InputError
from jvid.limits import MOST_CLIPS, check_most
from jvid.refusals import parse_json, read_text

if TYPE_CHECKING:
    from jvid.pipeline.record import Clip

__all__ = ["PromptFile", "clips_of", "read_prompts"]

PromptFile = Annotated[
    Path | None,
    typer.Option(
        "--prompts", metavar="FILE",
        help='Prompts of a file, one a line, as text or as {"prompt": ..., "seed": ...}. Lines have --seed where none of '
        "them has one, and 0 otherwise; "
        "empty lines are ignored.",
    ),
]  # fmt: skip


def clips_of(
    prompts: list[str] | None, file: Path | None, num: int | None, seed: int | None, unconditional: bool
) -> tuple[Clip, ...]:
    """The clips of the options: ``num`` of each prompt, with consecutive seeds.

    Raises:
        InputError: no prompt, prompts twice, or a file that holds none.
    """
    from jvid.pipeline.record import Clip

    num, first = num or 1, seed or 0
    check_most("--num", num, MOST_CLIPS, "`jvid generate` makes as many as you like")
    if unconditional:
        if prompts or file is not None:
            what = f"a prompt, {prompts[0]!r}," if prompts else "--prompts"
            raise InputError(f"{what} beside --unconditional: leave one out")
        return tuple(Clip(None, first + i) for i in range(num))
    if file is not None:
        if prompts:
            raise InputError(f"a prompt, {prompts[0]!r}, beside --prompts: leave one out")
        listed = read_prompts(file)
        if seed is not None and any(own is not None for _, own in listed):
            raise InputError(f"--seed beside --prompts {str(file)!r}, whose lines have seeds: leave it out")
        check_most("clips", num * len(listed), MOST_CLIPS, "`jvid generate` makes as many as you like")
        return tuple(
            Clip(prompt, (first if own is None else own) + i) for prompt, own in listed for i in range(num)
        )
    if not prompts:
        raise InputError(
            "no prompt: expected at least one, such as 'a person waving two hands', --prompts FILE, or --unconditional"
        )
    return tuple(Clip(prompt, first + i) for prompt in prompts for i in range(num))


def read_prompts(path: Path) -> list[tuple[str, int | None]]:
    """The prompts of a file with their seeds, None where a line has none.

    Raises:
        InputError: no such file, no text, no prompt in it, or a line of another form; the message names the line.
    """
    try:
        text = read_text(path).removeprefix("\ufeff")
    except OSError as error:
        raise InputError(
            f"--prompts {str(path)!r}: {error.strerror or error}; expected a file of prompts"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"--prompts {str(path)!r} is not UTF-8 text: expected one prompt a line") from error
    except ValueError as error:
        raise InputError(f"--prompts {str(path)!r}: {error}; expected a file of prompts") from error
    found = list(_lines(path, text))
    if not found:
        raise InputError(f"--prompts {str(path)!r} holds no prompt: expected one a line")
    return found


def _lines(path: Path, text: str) -> Iterator[tuple[str, int | None]]:
    # Of line feeds alone: a prompt may hold other characters that end lines.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if not line.lstrip().startswith("{"):
            yield line.strip(), None
            continue
        where = f"--prompts {str(path)!r}, line {number}"
        try:
            values: Any = parse_json(line)
        except ValueError as error:
            raise InputError(
                f'{where}: no JSON ({error}), expected {{"prompt": ..., "seed": ...}}'
            ) from error
        prompt, seed = values.get("prompt"), values.get("seed")
        if not isinstance(prompt, str) or not prompt.strip() or set(values) - {"prompt", "seed"}:
            raise InputError(f"{where}: got {line.strip()[:60]}, expected the keys prompt and seed alone")
        if seed is not None and (type(seed) is not int or seed < 0):
            raise InputError(f"{where}: seed {seed!r}, expected a whole number, 0 or more")
        yield prompt.strip(), seed
