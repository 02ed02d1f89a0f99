"""A case: a file of the material is changed, or a command's options are; then the commands run in a folder of their own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jvid_models.plugin
from jvid.plugins import hookspecs
from jvid.plugins.registrar import Registrar
from jvid.plugins.registry import Registry, using
from tests.fuzz import values
from tests.fuzz.options import command_line
from tests.fuzz.running import Outcome, ran
from tests.fuzz.targets import TARGETS, Target, header, material, with_header
from tests.toy import toy_registry
from tests.training_tools import pooled

__all__ = ["Cases"]

SECONDS = 20
OPTIONS = 0.35
"""Share of the cases that are of options."""
EVERYTHING = "plan.json strategy.json prompts.jsonl z.safetensors study.toml set tiny data"


class _Plugin:
    """A codec that needs no weights."""

    @hookspecs.hookimpl
    def jvid_register(self, register: Registrar) -> None:
        register.codec("pooled", _codec)


def _codec() -> Any:
    return SimpleNamespace(
        encode=pooled, decode=lambda z: z[:, :3].repeat_interleave(8, 3).repeat_interleave(8, 4)
    )


def registry() -> Registry:
    """The built-ins, the models', the trainers', the toy ensemble and the codec."""
    found = toy_registry()
    found.add(jvid_models.plugin, "models", "jvid test")
    found.add(_Plugin(), "fuzz", "fuzz 1.0")
    return found


class Cases:
    """Cases by number; a context, in which the working folder is the case's.

    Args:
        folder: for the material and the cases.
        seed: of all cases.
        only: formats whose name begins so, or "options"; all if None.
        bound: each command's memory.
        trained: with runs of training.
        seconds: of the processor, after which a command is stopped; None lets it take what it takes.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        only: str | None = None,
        bound: bool = True,
        trained: bool = True,
        seconds: int | None = SECONDS,
    ) -> None:
        self.folder, self.seed, self.only = folder.resolve(), seed, only
        self.bound, self.trained, self.seconds = bound, trained, seconds
        self.described = ""
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Cases:
        self._held.enter_context(using(registry()))
        self._held.callback(os.chdir, Path.cwd())
        self.outside = self.folder / "cases" / "outside"
        self.outside.mkdir(parents=True)
        (self.outside / "x").mkdir()
        (self.outside / "x" / "kept").write_text("kept")
        self.untouched = self.folder / "untouched"
        self.untouched.mkdir()
        self.material = material(self.folder / "material", trained=self.trained)
        for target in TARGETS:
            assert not self.trained or (self.material / target.file).is_file(), target.file
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def run(self, number: int) -> list[Outcome]:
        """What the commands of a case did."""
        draw = random.Random(f"{self.seed} {number}")
        targets = [each for each in TARGETS if self.only is None or each.name.startswith(self.only)]
        if not self.trained:
            targets = [each for each in targets if not each.file.startswith("data/run")]
        if self.only == "options" or (self.only is None and draw.random() < OPTIONS):
            with self._case(EVERYTHING):
                self.described = "options"
                words = command_line(draw)
                if not self.trained and words[0] == "train":
                    return []
                return [ran(words, self.seconds, self.untouched, bound=self.bound)]
        target = draw.choice(targets)
        # A recipe may name any folder for its outputs; nothing else may.
        outside = self.untouched if target.form == "toml" else self.outside
        with self._case(target.part):
            self.described = _change(target, draw)
            chosen = [words for words in target.commands if self.trained or words[0] != "train"]
            return [ran(list(words), self.seconds, outside, bound=self.bound) for words in chosen]

    @contextlib.contextmanager
    def _case(self, parts: str) -> Iterator[None]:
        own = self.folder / "cases" / "case"
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        for part in parts.split():
            source = self.material / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, own / part)  # type: ignore[operator]
        os.chdir(own)
        try:
            yield
        finally:
            os.chdir(self.folder)


def _change(target: Target, draw: random.Random) -> str:
    """Change the target's file; returns what it holds now, cut."""
    path = Path(target.file)
    data = path.read_bytes()
    if target.form == "bytes" or draw.random() < 0.15:
        data = values.bytes_of(data, draw)
    elif target.form == "header":
        found, rest = header(data)
        data = with_header(values.mutated(found, draw), rest, values.json_text)
    elif target.form == "lines":
        lines = [json.loads(line) for line in data.decode().splitlines()]
        data = b"".join(values.json_text(line) + b"\n" for line in _listed(values.mutated(lines, draw)))
    elif target.form == "toml":
        import tomllib

        data = values.toml_text(values.mutated(tomllib.loads(data.decode()), draw))
    else:
        data = values.json_text(values.mutated(json.loads(data), draw))
    path.write_bytes(data)
    return f"{target.name}: {target.file} holds {data[:2000]!r}"


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]
