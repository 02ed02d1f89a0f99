"""Whether all tensors of a LoRA file arrived in a pipeline: diffusers leaves out those that fit nothing, without an error.

    transformer.blocks.0.attn1.to_q.lora_A.weight  ->  transformer, blocks.0.attn1.to_q.lora_A.NAME.weight

The names on the left are those that diffusers' own reader makes of a file, whatever trained it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open

from jvid.errors import InputError
from jvid.extras import extra
from jvid_models.adapters.pipelines.replaced import replaced

with extra("models"):
    from diffusers import ModelMixin
    from diffusers.utils.state_dict_utils import (
        convert_state_dict_to_diffusers,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )

__all__ = ["check_fit", "noting_names"]

_SHOWN = 3
_PAIRS = (("lora_A", "lora_B"), ("lora_B", "lora_A"))


@contextmanager
def noting_names(pipe: Any) -> Iterator[list[str]]:
    """Within the block, the names of the tensors that diffusers' reader makes of a file, once it has read it."""
    names: list[str] = []
    own = pipe.lora_state_dict

    def lora_state_dict(*args: Any, **kwargs: Any) -> Any:
        found = own(*args, **kwargs)
        names.extend(found[0] if isinstance(found, tuple) else found)
        return found

    with replaced(pipe, lora_state_dict=lora_state_dict):
        yield names


def check_fit(pipe: Any, path: Path, names: Sequence[str], adapter: str, second: bool = False) -> None:
    """Refuse a file of which some tensors are not in the pipeline.

    Args:
        pipe: with the adapter.
        path: of the file.
        names: as of `noting_names`.
        adapter: the name that it was loaded by.
        second: whether it was loaded into the second transformer.

    Raises:
        InputError: tensors that fit no layer, that diffusers leaves out, or without the other half of their pair.
    """
    where = f"the LoRA {str(path)!r}"
    with safe_open(path, "pt") as file:
        scales = [name for name in file.keys() if "dora_scale" in name]  # noqa: SIM118  it is no mapping
    if scales:
        raise InputError(
            f"{where} holds {len(scales)} scales of DoRA ({_listed(scales)}), which diffusers leaves out: expected a LoRA without"
        )
    converted = _converted(pipe, names, second)
    arrived = {
        name
        for part, named in converted.items()
        for inner, name in named.items()
        if inner in _names_in(getattr(pipe, part), adapter)
    }
    if lost := [name for name in names if name not in arrived]:
        raise InputError(
            f"{where}: {len(lost)} of {len(names)} tensors fit no layer of this {type(pipe).__name__} ({_listed(lost)}): "
            "expected one of its model"
        )
    alone = [
        name
        for named in converted.values()
        for inner, name in named.items()
        if not inner.endswith(".bias")  # a bias has no other half
        if any(one in inner and inner.replace(one, other) not in named for one, other in _PAIRS)
    ]
    if alone:
        raise InputError(
            f"{where}: {len(alone)} of {len(names)} tensors lack the other one of their pair ({_listed(alone)}): fetch the file "
            "again"
        )


def _converted(pipe: Any, names: Sequence[str], second: bool) -> dict[str, dict[str, str]]:
    """The names by the component that they are of, each by its name in that component; as diffusers' loaders convert them."""
    parts = [
        part for part in getattr(pipe, "_lora_loadable_modules", ()) if getattr(pipe, part, None) is not None
    ]
    found: dict[str, dict[str, str]] = {}
    for part in parts:
        own = {name.removeprefix(f"{part}."): name for name in names if name.startswith(f"{part}.")}
        if not own:
            continue
        if not isinstance(getattr(pipe, part), ModelMixin):  # an encoder of transformers
            own = convert_state_dict_to_peft(convert_state_dict_to_diffusers(own))
            if not hasattr(getattr(pipe, part), "text_model"):
                own = {inner.removeprefix("text_model."): name for inner, name in own.items()}
        elif "lora_A" not in next(iter(own)) and not any(".lokr_" in inner for inner in own):
            own = convert_unet_state_dict_to_peft(own)
        found[f"{part}_2" if second else part] = own
    return found


def _names_in(part: Any, adapter: str) -> set[str]:
    """The names of a component's tensors, those of the adapter without its name, which follows the one of their kind."""
    found = set()
    for name in part.state_dict():
        before, dot, behind = name.rpartition(f".{adapter}.")
        if not dot:
            before, behind = name.removesuffix(f".{adapter}"), ""
        found.add(f"{before}.{behind}" if behind else before)
    return found


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
