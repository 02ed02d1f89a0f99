"""What a set depends on of an ensemble: its fingerprint, the size of its frames, and which strategies are one and the same.

fingerprint    name, shape, rate and prompts; the weights of its folder
of experts composed on the spot also their sources, with the content of files in place of paths
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.ensemble.canonical import canonical
from jvid.ensemble.source import Source
from jvid.errors import UnknownNameError
from jvid.plugins.choice import Choice
from jvid.plugins.registry import current

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid_training.generation.spec import Spec

__all__ = ["ensemble_fingerprint", "frame_size", "resumed"]

_MODEL = (".safetensors", ".bin", ".pt", ".json", ".txt", ".model")
"""Endings of a model's files: weights, configurations, vocabularies."""


def frame_size(ensemble: Ensemble, device: str) -> tuple[int, int]:
    """``(H, W)`` that the ensemble's codec decodes to."""
    import torch

    from jvid.core.modules import modules_of
    from jvid.machine.on_demand import computing_on

    c, _, h, w = ensemble.shape
    with computing_on(modules_of(ensemble.codec).all, device), torch.inference_mode():
        shape: Any = ensemble.codec.decode(torch.zeros(1, c, 1, h, w, device=device)).shape
    return int(shape[-2]), int(shape[-1])


def resumed(spec: Spec, before: Spec | None, ensemble: Ensemble) -> Spec:
    """The spec with the strategy as a set has it already, where both make the same clips."""
    if before is None or canonical(spec.strategy, ensemble) != canonical(before.strategy, ensemble):
        return spec
    return attrs.evolve(spec, strategy=before.strategy)


def ensemble_fingerprint(ensemble: Ensemble, source: Source | None = None, decoder: bool = True) -> str:
    """Hex, of the files that an ensemble is made of; of its description where it has no folder.

    Args:
        ensemble: whose clips they are.
        source: what it was loaded from, where that is more than a name.
        decoder: without it, of what makes latents: ensembles that are equal in it sample the same ones.
    """
    digest = hashlib.blake2b(digest_size=16)
    composed = source is not None and source.is_composed
    about = {"name": "composed" if composed else ensemble.name, "shape": ensemble.shape, "fps": ensemble.fps}
    digest.update(repr(sorted(about.items())).encode())
    # The name of a class of version 0.1: sets that it made go on.
    digest.update(repr(("Pair", tuple(ensemble.prompts))).encode())
    # Not the recommended strategy, which is a file's content too: a set has its own.
    for part in _weights(ensemble.folder, decoder) if ensemble.folder is not None else ():
        digest.update(part)
    if composed:
        assert source is not None  # for mypy
        digest.update(repr(list(_parts(source, decoder))).encode())
    return digest.hexdigest()


def _weights(folder: Path, decoder: bool) -> Iterator[bytes]:
    """Names and digests of the weights of an ensemble's folder."""
    for path in sorted(folder.glob("*.safetensors")):
        if decoder or path.stem != "decoder":
            yield path.name.encode()
            yield _digest(path)


def _parts(source: Source, decoder: bool) -> Iterator[tuple[str, Any]]:
    """What a source states, with contents in place of paths."""
    for name, text in {"": source.name, **source.experts}.items():
        yield f"expert {name}", _content("denoiser", text, decoder) if text else ""
    for name, text in source.text.items():
        yield f"text {name}", _content("text", text, decoder)
    if decoder and source.codec is not None:
        yield "codec", _content("codec", source.codec, decoder)
    yield "schedule", source.schedule
    if source.same_space:  # else as sets of earlier versions have it
        yield "same_space", True


def _content(kind: str, text: str, decoder: bool) -> Any:
    named, _, expert = text.partition("#")
    choice = Choice.parse(named)
    options = {key: _file(value) for key, value in choice.options.items()}
    if kind == "denoiser" and (weights := _ensemble_weights(named, decoder)) is not None:
        return weights, expert, options
    return _file(choice.name), expert, options


def _ensemble_weights(text: str, decoder: bool) -> list[bytes] | None:
    """The weights of a registered ensemble or of one in a folder; None where it is none, or has no folder."""
    try:
        current().find("ensemble", Choice.parse(text).name)
    except UnknownNameError:
        return None
    folder = Source(text).load(weights=False).folder
    return None if folder is None else list(_weights(folder, decoder))


def _file(value: Any) -> Any:
    """The content of a file or folder; any other value is itself."""
    if not isinstance(value, str) or not value or not Path(value).exists():
        return value if not isinstance(value, Choice) else _content("", str(value), True)
    path = Path(value)
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return [
        (str(each.relative_to(path)), _digest(each).hex())
        for each in files
        if each.is_file() and (each == path or each.suffix in _MODEL)
    ]


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
