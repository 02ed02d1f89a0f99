"""Which values a run's parameters start from (``training.init``), and which of them it keeps (``training.fixed``).

Names are matched by patterns of the shell: ``*`` is any characters, dots too. What a file lacks, and what it has too much, is an
error that names the tensors, unless the recipe names them: weights of another network would otherwise start a run in part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from jvid.errors import InputError
from jvid_training.data.checks import some

_PUBLISHED = "network."
"""How the names of a published network's tensors begin (`jvid_training.published.network`)."""

__all__ = ["fix", "start_from", "trained"]


def start_from(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    new: Sequence[str] = (),
    unused: Sequence[str] = (),
    file: str = "the file",
) -> int:
    """Copy weights into the tensors of the same name; returns how many were taken.

    An image network starts a video network this way: a 1x1 convolution and a linear layer differ in shape only, so
    a tensor of equal size is reshaped. A UNet alone, and one with its text network (``unet.``, ``text.``), start each other:
    the text network is then new, or unused.

    Args:
        network: whose tensors get values.
        weights: of the file.
        new: patterns of the network's tensors that are not taken from it.
        unused: patterns of the file's tensors that are not taken.
        file: names the file in errors.

    Raises:
        InputError: tensors differ in name or shape that no pattern names, a pattern names none, or nothing is taken.
    """
    own = network.state_dict()
    prefix = "unet."
    if all(name.startswith(_PUBLISHED) for name in own) and not any(
        name.startswith(_PUBLISHED) for name in weights
    ):
        weights = {f"{_PUBLISHED}{name}": tensor for name, tensor in weights.items()}  # a file of diffusers
    wrapped, theirs = (any(name.startswith(prefix) for name in each) for each in (own, weights))
    if not wrapped:
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    elif not theirs:
        weights = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    fresh, left = matching(own, new, "training.new"), matching(weights, unused, "training.unused")
    if wrapped != theirs:
        fresh, left = (found | {name for name in each if name.startswith("text.")}
                       for found, each in ((fresh, own), (left, weights)))  # fmt: skip
    taken = {
        name: tensor.reshape(own[name].shape)
        for name, tensor in weights.items()
        if name in own and name not in fresh | left and _fits(tensor, own[name])
    }
    missing = [name for name in own if name not in taken and name not in fresh]
    extra = [name for name in weights if name not in taken and name not in left | fresh]
    if not taken:
        raise InputError(
            f"training.init: no tensor of {file} fits the network; expected weights of one with the same channels"
        )
    reasons = [
        f"{len(names)} of {len(every)} tensors of {whose} are not taken ({some(names)})"
        for whose, names, every in (("the network", missing, own), (file, extra, weights))
        if names
    ]
    if reasons:
        raise InputError(
            f"training.init: {' and '.join(reasons)}; correct [network], or name them in training.new and training.unused"
        )
    network.load_state_dict(taken, strict=False)
    return len(taken)


def trained(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: each for name, each in network.named_parameters() if each.requires_grad}


def fix(network: nn.Module, patterns: Sequence[str]) -> None:
    """Let the parameters that ``patterns`` name keep their values.

    Raises:
        InputError: a pattern names no parameter, or none is left to train.
    """
    parameters = dict(network.named_parameters())
    fixed = matching(parameters, patterns, "training.fixed")
    if len(fixed) == len(parameters):
        raise InputError(f"training.fixed: {', '.join(patterns)} name every parameter; leave some to train")
    for name in fixed:
        parameters[name].requires_grad_(False)


def matching(names: Iterable[str], patterns: Sequence[str], key: str) -> set[str]:
    """The names that any of ``patterns`` names. Raises `InputError` where one names none."""
    every = list(names)
    found: set[str] = set()
    for pattern in patterns:
        named = {name for name in every if fnmatchcase(name, pattern)}
        if not named:
            raise InputError(f"{key}: no tensor is named {pattern!r}; expected patterns of {some(every)}")
        found |= named
    return found


def _fits(tensor: Tensor, own: Tensor) -> bool:
    return own.numel() == tensor.numel() and own.squeeze().shape == tensor.squeeze().shape
