"""Parts of several folders whose files are equal, loaded once for all of their pipelines.

    equal     class and variant; names and sizes of the files; config.json as values; then the bytes of the others
    shared    by pipelines that are read with the same precision, to the same place, and that leave the part as it is

For a plan, which reads no weights, 4 kB of each MB of a large file are compared.
Equal configurations may state another origin or version of the library that wrote them. Links to one file are equal unread.
Pipelines change some of their parts: those that get LoRA are not shared. A class of pipelines sets the padding of its tokenizer
and may cast its autoencoder to float32: tokenizers, and autoencoders of other precision, are shared within one class.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn

from jvid.errors import InputError
from jvid.refusals import parse_json
from jvid_models.adapters.movable import is_movable
from jvid_models.adapters.pipelines.folders import parts_in, variant_of
from jvid_models.adapters.pipelines.placement import DECODERS

__all__ = ["PartFiles", "SharedParts", "files_of_parts"]

_CONFIG = "config.json"
_ORIGIN = ("_name_or_path", "transformers_version", "_diffusers_version")
"""What a configuration states of itself. Pipelines look at the last of a UNet's."""
_CHUNK = 1 << 22
_SAMPLE, _APART = 1 << 12, 1 << 20
"""Bytes of a sample of a file that is larger than a chunk, and from one to the next."""


@attrs.frozen(eq=False)
class PartFiles:
    """The files of one part of a folder, and how it is loaded.

    Attributes:
        key: equal for parts that are loaded alike from equal files.
        dtype: of a part with weights.
        paths: by name, but for the configuration.
    """

    key: tuple[Any, ...]
    dtype: torch.dtype
    paths: Mapping[str, Path]

    def equals(self, other: PartFiles, whole: bool = True) -> bool:
        """Whether it is loaded as the other is, from files of the same content; large ones are sampled if not ``whole``."""
        if self.key != other.key:
            return False
        try:
            return all(_same_bytes(path, other.paths[name], whole) for name, path in self.paths.items())
        except OSError:
            return False


class SharedParts:
    """The parts of the pipelines that are loaded so far. They are kept by their pipelines alone."""

    def __init__(self) -> None:
        self._known: list[tuple[PartFiles, weakref.ref[Any]]] = []

    def equal(self, parts: Mapping[str, PartFiles], whole: bool = True) -> dict[str, Any]:
        """The loaded parts in whose place those of a folder would be, by name; each for one of them.

        Args:
            parts: of the folder.
            whole: whether large files are compared byte by byte, or in samples.
        """
        found: dict[str, Any] = {}
        for name, files in parts.items():
            for known, reference in self._known:
                part = reference()
                taken = any(part is each for each in found.values())
                if (
                    part is not None
                    and not taken
                    and _is_as_loaded(part, known)
                    and files.equals(known, whole)
                ):
                    found[name] = part
                    break
        return found

    def add(self, parts: Mapping[str, PartFiles], pipe: Any) -> None:
        """Let the parts of a pipeline, which was just read, be shared."""
        known = [reference() for _, reference in self._known]
        for name, files in parts.items():
            part = getattr(pipe, name, None)
            if part is not None and not any(part is each for each in known) and _is_as_loaded(part, files):
                self._known.append((files, weakref.ref(part)))


def files_of_parts(
    folder: Path,
    index: Mapping[str, Any],
    dtype: torch.dtype,
    place: tuple[Any, ...],
    changed: Collection[str] = (),
) -> dict[str, PartFiles]:
    """The files of the parts of a folder that may be shared, by name.

    Args:
        folder: of the pipeline.
        index: its ``model_index.json``.
        dtype: that it is read with.
        place: where its parts are, and whatever else must be the same.
        changed: names of parts that its own expert changes.
    """
    found: dict[str, PartFiles] = {}
    with suppress(OSError, InputError):  # reading the pipeline reports what is wrong
        variant = variant_of(folder, index)
        for name, library, kind in parts_in(index):
            files = None if name in changed else _files_in(folder / name)
            has_weights = any(file.endswith(".safetensors") for file in files or ())
            if files is None or not (has_weights or library == "transformers"):
                continue  # a scheduler is changed by each run
            of_one_class = not has_weights or (name in DECODERS and dtype != torch.float32)
            config = _configuration(
                files.pop(_CONFIG, None), _ORIGIN[:2] if kind.startswith("UNet") else _ORIGIN
            )
            sizes = tuple((file, path.stat().st_size) for file, path in files.items())
            pipeline = str(index.get("_class_name")) if of_one_class else None
            key = library, kind, dtype, place, variant, pipeline, config, sizes
            found[name] = PartFiles(key, dtype, files)
    return found


def _files_in(folder: Path) -> dict[str, Path] | None:
    """The files of a part by name; None where there are none, or further folders."""
    if not folder.is_dir():
        return None
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return {path.name: path for path in inside} if inside and all(map(Path.is_file, inside)) else None


def _configuration(path: Path | None, left_out: Collection[str]) -> str:
    """A configuration as text that is the same for equal values."""
    if path is None:
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        values = parse_json(text)
    except ValueError:
        return text  # loading it reports what is wrong
    if isinstance(values, dict):
        values = {key: value for key, value in values.items() if key not in left_out}
    return json.dumps(values, sort_keys=True)


def _is_as_loaded(part: Any, files: PartFiles) -> bool:
    """Whether nothing has cast, quantised, hooked or converted a part."""
    if not isinstance(part, nn.Module):
        return True
    return (
        type(part).__name__ == files.key[1]
        and getattr(part, "dtype", None) == files.dtype
        and is_movable(part)
    )


def _same_bytes(one: Path, other: Path, whole: bool) -> bool:
    """Whether two files of one size are equal; it ends at the first difference."""
    if os.path.samefile(one, other):
        return True
    size = one.stat().st_size
    piece, step = (_CHUNK, _CHUNK) if whole or size <= _CHUNK else (_SAMPLE, _APART)
    with one.open("rb") as first, other.open("rb") as second:
        for place in range(0, size, step):
            first.seek(place)
            second.seek(place)
            if first.read(piece) != second.read(piece):
                return False
    return True
