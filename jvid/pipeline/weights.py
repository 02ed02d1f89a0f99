"""The weights of a composition: modules by name, their bytes by expert, and which of them each step of a plan calls.

Experts that share a module share its bytes: they are counted and moved once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from jvid.core.evaluations import evaluations_of
from jvid.core.modules import Parts, modules_of
from jvid.ensemble.deferred import made
from jvid.errors import InputError
from jvid.pipeline.cost import expert_of, outlines_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from jvid.core.plan import Plan
    from jvid.ensemble.compose import Composition
    from jvid.ensemble.ensemble import Member

__all__ = ["Mode", "Weights", "check_mode", "stays_on_host"]

Mode = Literal["plan", "none", "sequential"]
"""Which weights are on the device: those that the plan needs, all, or one module at a time."""


def check_mode(mode: str | None, option: str = "offload") -> None:
    """Refuse a mode that there is not; None is the default one.

    Raises:
        InputError: another name; the message begins with ``option``.
    """
    if mode is not None and mode not in (modes := get_args(Mode)):
        raise InputError(f"{option} {mode!r}: expected {', '.join(modes[:-1])} or {modes[-1]}")


def stays_on_host(mode: str | None) -> bool:
    """Whether weights are read to the host, from where a mode moves them."""
    return mode in ("plan", "sequential")


class Weights:
    """The modules of the experts of a composition that may be moved, with those of their encoders and of the codec.

    Args:
        composition: a strategy with an ensemble; its networks are loaded.
        decoding: whether the codec is among them.
    """

    def __init__(self, composition: Composition, decoding: bool = True) -> None:
        from jvid.machine.managed import units_of

        ensemble = composition.ensemble
        assert ensemble is not None  # a composition that runs has one
        self.composition = composition
        others = (other for names in composition.references.values() for other in names)
        self.experts = tuple(dict.fromkeys([*composition.experts, *others]))
        self._parts = {name: modules_of(ensemble.denoiser(name)) for name in self.experts}
        encoders = {name: _conditioner_of(ensemble.member(name)) for name in self.experts}
        codec = modules_of(ensemble.codec) if decoding and ensemble.has_codec else Parts()
        self.modules: dict[str, nn.Module] = {}
        for name, parts in (*self._parts.items(), *encoders.items(), ("codec", codec)):
            for key, module in parts.all.items():
                if module not in self.modules.values():
                    self.modules[f"{name}.{key}"] = module
        self._units = units_of(self.modules)
        self.sizes = {unit.name: unit.size for unit in self._units}
        self._by_module = {module: unit.name for unit in self._units for module in unit.modules}
        self.encoders = {
            name: self._names([self._parts[name].before, encoders[name].before]) for name in self.experts
        }
        self.decoders = self._names([codec.behind] if codec.behind else [])

    def networks(self, expert: str) -> tuple[str, ...]:
        """The units of the networks of an expert."""
        return self._names([self._parts[expert].networks])

    def bytes_of(self, units: Iterable[str]) -> int:
        """Bytes of units, each counted once."""
        return sum(self.sizes[unit] for unit in set(units))

    def uses(self, plan: Plan, latent_frames: int) -> list[frozenset[str]]:
        """The units of networks that each step of a plan calls; guidance within an interval needs its other model there alone."""
        outlines = outlines_of(self.composition, plan, latent_frames)

        @cache
        def at(name: str, t: float) -> frozenset[str]:
            seen = evaluations_of(outlines[name], t, latent_frames)
            return frozenset(unit for each in seen for unit in self.networks(expert_of(each, name)))

        return [
            frozenset[str]().union(
                *(at(name, t) for name in step.weights for t in (step.start.t, step.end.t))
            )
            for step in plan.steps
        ]

    def room(self, uses: Sequence[Collection[str]], device: torch.device | str, taken: int = 0) -> int:
        """Bytes for weights on a device: those of the step that needs the most, or on a GPU half of it where that is more.

        Args:
            uses: the units of each step.
            device: of the run.
            taken: bytes of weights that are there already.
        """
        import torch

        from jvid.machine.memory import free_bytes

        needed = max((self.bytes_of(step) for step in uses), default=0)
        if torch.device(device).type != "cuda":
            return needed
        # The other half is for what networks compute; batches are made for that of what is free then.
        return max(needed, (free_bytes(device) + taken) // 2)

    def peak(self, plan: Plan, uses: Sequence[Collection[str]], mode: Mode, room: int = 0) -> int:
        """Most bytes of weights on the device at once in a run of a plan and in decoding, found without running it.

        Args:
            plan: whose steps are taken.
            uses: of the plan.
            mode: how weights are moved.
            room: bytes for weights where they are moved by the plan.

        Encoders come before the first step of an expert, and the decoder behind the last.
        """
        from jvid.machine.residence import Residence

        if mode == "none":
            return sum(self.sizes.values())
        residence = Residence(self.sizes)
        residence.follow(uses, 0 if mode == "sequential" else room)
        conditioned: set[str] = set()
        for step, used in zip(plan.steps, uses, strict=True):
            residence.begin(step.index)
            new = [name for name in step.weights if name not in conditioned]
            conditioned.update(new)
            for unit in (*(unit for name in new for unit in self.encoders[name]), *sorted(used)):
                residence.call(unit)
            residence.end()
        for unit in self.decoders:
            residence.call(unit)
        return residence.peak

    def are_too_large(self, device: torch.device | str) -> bool:
        """Whether a GPU has no room for those that are not there yet; no other device is known to be too small."""
        from jvid.machine.managed import are_too_large

        return are_too_large(self._units, device)

    def _names(self, groups: Iterable[Mapping[str, nn.Module]]) -> tuple[str, ...]:
        found = (self._by_module.get(module) for group in groups for module in group.values())
        return tuple(dict.fromkeys(name for name in found if name is not None))


def _conditioner_of(member: Member) -> Parts:
    return Parts() if member.conditioner is None else modules_of(made(member.conditioner))
