"""``jvid.load``: a component by its name, and an ensemble of experts that are named by the call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jvid import documents
from jvid.ensemble.source import Source
from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.plugins.registry import current

__all__ = ["load"]

_AROUND = ("text", "codec", "shape", "fps", "schedule", "same_space")
_PLACE = ("device", "dtype")


def load(kind: str, name: str | Choice | None = None, /, **options: Any) -> Any:
    """Build a component of the current registry, or an ensemble of experts.

        jvid.load("solver", "ddim", eta=0.5)
        jvid.load("ensemble", video="path/to/pipeline", image=pipe)

    Args:
        kind: of the component.
        name: of the component, or a ``Choice``. Without one the kind is "ensemble", and the options are experts by name.
        options: for the component's factory. Of an ensemble of experts: a source each, as of ``--expert``, or what is loaded
            already (a ``DiffusionPipeline``, an ensemble of one, a denoiser); text, codec, shape, fps, schedule, same_space,
            device and dtype, as of ``Source``; and inputs by expert, as ``{"video": {"image": picture}}``: pictures, clips and
            tensors, or paths of files.

    Raises:
        UnknownNameError: no such kind or name, or an ambiguous one.
        InputError: an option that the factory does not take, a value that it refuses, or no name of another kind.
        MissingDependencyError: it needs a package or a file that is not there.
        PluginError: its target cannot be imported, or it fails in an unforeseen way.
    """
    if name is not None:
        return current().load(kind, name, **options)
    if kind != "ensemble":
        raise InputError(f"no name of a {kind}: expected one of jvid.names({kind!r})")
    around = {key: options.pop(key) for key in _AROUND if key in options}
    inputs = options.pop("inputs", {})
    place = {key: options.pop(key) for key in _PLACE if key in options}
    if values := [key for key, value in options.items() if value is None or isinstance(value, int | float)]:
        raise InputError(
            f"expert {values[0]!r} is {options[values[0]]!r}: expected a folder, a pipeline or a denoiser; options of one "
            f"pipeline are those of jvid.load('ensemble', 'pipeline', pipe=..., {values[0]}=...)"
        )
    given = {key: value for key, value in options.items() if not isinstance(value, str | Path)}
    experts = {key: type(value).__name__ if key in given else str(value) for key, value in options.items()}
    if isinstance(around.get("text"), str):
        around["text"] = {"*": around["text"]}
    if "shape" in around:
        around["shape"] = tuple(around["shape"])
    files, loaded = _sorted(inputs)
    return Source(experts=experts, inputs=files, **around).load(**place, given=given, inputs=loaded)


def _sorted(inputs: Any) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Inputs by expert: the paths, and what is loaded already."""
    if not isinstance(inputs, Mapping) or not all(isinstance(each, Mapping) for each in inputs.values()):
        raise InputError(f"inputs {documents.short(inputs)}: expected values by expert and argument")
    return tuple(
        {
            expert: {name: value for name, value in values.items() if isinstance(value, str | Path) is files}
            for expert, values in inputs.items()
        }
        for files in (True, False)
    )  # type: ignore[return-value]
