"""A strategy and an ensemble to a ``Sampler``; each component is loaded once, wrappers also around placeholders.

for each expert    lifted = the denoiser, or Framewise(denoiser) of an expert of frames
wrapped = wrappers of the strategy, or the ensemble's default ones, from the inside out
long    = Windowed(wrapped) in clips longer than the ensemble's, of experts of clips
Sampler            selector, solver, grid, reference schedule, noise by expert, postprocessors
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jvid.core.evaluations import draws_noise
from jvid.core.protocols import DeclaresExperts, Expert, NoiseSchedule
from jvid.ensemble.latents import check_pictures, common_space
from jvid.ensemble.standin import StandIn
from jvid.errors import InputError, JvidWarning, located
from jvid.plugins.choice import Choice
from jvid.plugins.registry import Registry, current
from jvid.strategy.strategy import EVERY, Strategy
from jvid.strategy.windows import windows

if TYPE_CHECKING:
    from jvid.core.conditions import PerExpert
    from jvid.core.plan import Plan
    from jvid.core.protocols import Condition, Denoiser, LatentPostprocessor, NoiseSampler, Selector, Solver
    from jvid.core.sampler import Sampler
    from jvid.ensemble.ensemble import Ensemble

__all__ = ["Composition", "compose"]


class Composition:
    """A strategy whose components are loaded at their first use, once; with an ensemble, all that a run needs.

    A wrapper is built twice: around a placeholder, which checks its options before weights are read, and around its expert.

    Args:
        strategy: the choices.
        ensemble: whose experts they are for. Without one, plans can be drawn and components checked.
        registry: where components are found; the current one if None.
    """

    def __init__(
        self, strategy: Strategy, ensemble: Ensemble | None = None, registry: Registry | None = None
    ) -> None:
        given: tuple[object, object] = (strategy, ensemble)
        if not isinstance(given[0], Strategy):
            raise InputError(f"{given[0]!r}: expected a Strategy, such as Strategy.load(PATH)")
        if isinstance(given[1], str):
            raise InputError(f"{given[1]!r}: expected an ensemble, jvid.load('ensemble', {given[1]!r})")
        self.strategy, self.ensemble = strategy, ensemble
        self._registry = registry or current()

    @cached_property
    def selector(self) -> Selector:
        """The strategy's selector."""
        selector: Selector = self._registry.build("selector", self.strategy.selector)
        return selector

    @cached_property
    def solver(self) -> Solver[Any]:
        """The strategy's solver."""
        solver: Solver[Any] = self._registry.build("solver", self.strategy.solver)
        return solver

    @cached_property
    def grid(self) -> Callable[[NoiseSchedule], Sequence[float]]:
        """The strategy's grid, of its number of steps."""
        choice = self.strategy.grid
        if "steps" in choice.options:
            raise InputError(f"grid {choice.name!r} got 'steps' among its options: steps are the strategy's")
        # A grid of explicit times takes no number of steps: it has as many as it has.
        offered = {"steps": self.strategy.steps, "ensemble": self.ensemble}
        grid: Callable[[NoiseSchedule], Sequence[float]] = self._registry.fitted("grid", choice, offered)
        return grid

    @cached_property
    def postprocessors(self) -> tuple[LatentPostprocessor, ...]:
        """The strategy's postprocessors, in order."""
        return tuple(self._registry.build("postprocessor", each) for each in self.strategy.postprocessors)

    @cached_property
    def initial(self) -> NoiseSampler | None:
        """What shapes the first noise; None is independent noise."""
        return None if self.strategy.initial is None else self._registry.build("noise", self.strategy.initial)

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The reference: the strategy's, or else the ensemble's, or else the paper's."""
        if self.strategy.schedule is None and self.ensemble is not None:
            return self.ensemble.schedule
        schedule: NoiseSchedule = self._registry.build(
            "schedule", self.strategy.schedule or Choice("scaled-linear")
        )
        return schedule

    @cached_property
    def experts(self) -> tuple[str, ...]:
        """The experts that the selector may choose, in the ensemble's order; all of the ensemble's if it declares none.

        Raises:
            InputError: the selector, or the strategy's wrappers and noise, name an expert that the ensemble does not have;
                or the experts are not known.
        """
        declared = tuple(self.selector.experts) if isinstance(self.selector, DeclaresExperts) else ()
        if self.ensemble is None:
            if not declared:
                raise InputError(
                    f"selector {self.strategy.selector.name!r} does not declare its experts: name an ensemble, whose "
                    "experts it chooses among"
                )
            return tuple(dict.fromkeys(declared))  # one may have several ranges
        self.ensemble.check_expert_names(declared, f"selector {self.strategy.selector.name!r}")
        stated = [name for name in self.strategy.experts if name != EVERY]
        self.ensemble.check_expert_names(stated, "the strategy")
        return tuple(name for name in self.ensemble.experts if name in declared or not declared)

    @cached_property
    def noises(self) -> Mapping[str, NoiseSampler | None]:
        """The noise samplers of the experts' steps; None is independent noise."""
        choices = {name: self.strategy.of(name).noise for name in self.experts}
        loaded: dict[str, NoiseSampler] = {}
        for name, choice in choices.items():
            if choice is not None:
                with located(f"expert {name!r}"):
                    loaded[name] = self._registry.build("noise", choice)
        return {name: loaded.get(name) for name in choices}

    def plan(self) -> Plan:
        """The plan, drawn with the strategy's plan seed. No network runs.

        Raises:
            InputError: an option that a component refuses.
            UnknownNameError: a component that no plugin registers.
        """
        from jvid.core.planning import draw_plan, levels_of  # it loads torch

        levels = levels_of(self.grid, self.schedule)
        return draw_plan(self.selector, levels, self.experts, self.strategy.plan_seed, self.schedule)

    def check(self) -> None:
        """Load every component but the networks; wrappers are built around a placeholder.

        Raises:
            InputError: an option that a component refuses; the message names the expert that it is for.
            UnknownNameError: a component that no plugin registers.
        """
        _ = self.selector, self.solver, self.grid, self.postprocessors, self.initial, self.noises
        _ = self._placeholders

    def wrappers(self, name: str) -> tuple[Choice, ...]:
        """The stack of one expert: the strategy's, or else the ensemble's default one."""
        stated = self.strategy.of(name).wrappers
        if stated is None:
            return self.ensemble.member(name).wrappers if self.ensemble is not None else ()
        return stated

    def unused_noise(self) -> dict[str, Choice]:
        """The noise choices that change nothing: of experts on none of whose steps the solver draws noise.

        Raises:
            InputError: an option that a component refuses.
        """
        stated = {name: noise for name in self.experts if (noise := self.strategy.of(name).noise) is not None}
        if not stated:
            return {}
        drawn = {step.expert for step in self.plan().steps if draws_noise(self.solver, step)}
        return {name: noise for name, noise in stated.items() if name not in drawn}

    def warn_of_unused_noise(self) -> None:
        """Warn (`JvidWarning`) of noise that changes nothing, whatever the plan: the solver draws none at any step."""
        # Of the solver alone: the sampler may be run on another plan, in which other steps are an expert's.
        shaped = [name for name in self.experts if self.strategy.of(name).noise is not None]
        if shaped and not any(draws_noise(self.solver, step) for step in self.plan().steps):
            warnings.warn(
                f"noise of {', '.join(shaped)} (gamma, ratio) changes nothing: solver {self.strategy.solver.name} draws no "
                "noise; leave it out, or take a solver that draws some",
                JvidWarning,
                stacklevel=3,
            )

    def sampler(self, latent_frames: int | None = None) -> Sampler:
        """The ``Sampler``; only the experts that the selector may choose are loaded.

        Args:
            latent_frames: of the clips to come; None is the ensemble's. Experts of clips see longer ones in windows.

        Raises:
            InputError: an option that a component refuses, experts of different latent spaces, or windows that do not fit.
            UnknownNameError: a component that no plugin registers.

        Warns:
            JvidWarning: noise that changes nothing.
        """
        from jvid.core.sampler import Sampler

        # First what costs nothing: a wrong option is reported before weights are read.
        self._ensemble()  # there is one
        self.check()
        self.warn_of_unused_noise()
        if not all(map(self._has_any_length, self.experts)):
            self._window(latent_frames)
        experts = {
            name: Expert(
                self._long(
                    name,
                    self._wrapped(name, self._own(name, latent_frames), self._other(name, latent_frames)),
                    latent_frames,
                ),
                self.noises[name],
            )
            for name in self.experts
        }
        ensemble = self._ensemble()
        return Sampler(
            experts, self.selector, self.solver, self.grid, self.schedule, self.postprocessors, self.initial,
            space=common_space(ensemble, experts), same_space=ensemble.same_space, clean=ensemble.clean,
        )  # fmt: skip

    def outline(self, name: str, latent_frames: int | None = None) -> Denoiser:
        """An expert's denoiser with placeholders for its networks, which declares what it evaluates without loading any.

        A stand-in is on the expert's own schedule where that is known without loading it, else on the reference.

        Args:
            name: of the expert.
            latent_frames: of the clips to come, as for ``sampler``.

        Raises:
            InputError: an option that a component refuses, or windows that do not fit.
        """

        def stand_in(each: str) -> Denoiser:
            schedule = self.ensemble.known_schedule(each) if self.ensemble is not None else None
            return StandIn(schedule or self.schedule, each)

        def other(wanted: str) -> Denoiser:
            self._named(name, wanted)
            weaker, schedule = stand_in(wanted), stand_in(name).schedule
            if self.ensemble is not None:
                weaker = self._borrowed(wanted, weaker, latent_frames)
            return weaker if weaker.schedule == schedule else Bridged(weaker, schedule)

        from jvid.core.bridged import Bridged

        own = self._wrapped(name, stand_in(name), other)
        if self.ensemble is None:
            return own
        return self._long(name, own, latent_frames)

    def condition(self, prompts: Sequence[str]) -> Condition | PerExpert:
        """The condition of a batch of prompts, for the experts of ``sampler`` and those that their wrappers evaluate.

        Raises:
            InputError: a prompt that an expert's encoder does not know, or guidance of an expert without an encoder.
        """
        self.check_conditioners()
        return self._ensemble().condition(prompts, self.experts, self.references)

    def check_conditioners(self) -> None:
        """Refuse guidance away from the empty prompt of an expert whose ensemble has no text encoder for it.

        Raises:
            InputError: in one line, which names the expert.
        """
        from jvid.denoisers.guided import needs_null

        for name, (placeholder, _) in self._placeholders.items():
            if self._ensemble().member(name).conditioner is None and needs_null(placeholder):
                raise InputError(
                    f"expert {name!r} has no text encoder, which its guidance needs: give it one (--text {name}=CHOICE), "
                    f"guide it against another expert, or leave it unguided (--wrapper {name}=none)"
                )

    @cached_property
    def _placeholders(self) -> Mapping[str, tuple[Denoiser, tuple[str, ...]]]:
        """The wrappers of each expert around a placeholder, and the other experts that they name."""
        return {name: self._placeholder(name) for name in self.experts}

    def _placeholder(self, name: str) -> tuple[Denoiser, tuple[str, ...]]:
        others: list[str] = []

        def other(wanted: str) -> Denoiser:
            others.append(wanted)
            return self._named(name, wanted)

        return self._wrapped(name, StandIn(self.schedule), other), tuple(dict.fromkeys(others))

    @property
    def references(self) -> Mapping[str, tuple[str, ...]]:
        """By expert, the other experts that its wrappers name."""
        return {name: others for name, (_, others) in self._placeholders.items() if others}

    def _ensemble(self) -> Ensemble:
        if self.ensemble is None:
            raise InputError("a strategy without an ensemble: expected one whose experts it is for")
        return self.ensemble

    def _wrapped(self, name: str, denoiser: Denoiser, other: Callable[[str], Denoiser]) -> Denoiser:
        for choice in self.wrappers(name):
            with located(f"expert {name!r}"):
                denoiser = self._registry.wrap(choice, denoiser, other)
        return denoiser

    def _own(self, name: str, latent_frames: int | None) -> Denoiser:
        """An expert as a denoiser of clips, which sees no condition of those that its wrappers evaluate."""
        ensemble = self._ensemble()
        own, others = ensemble.clips(name), self.references.get(name, ())
        if (latent_frames or ensemble.shape[1]) > 1:
            check_pictures(name, ensemble, own, self.wrappers(name))
        if all(ensemble.shares_conditioner(name, other) for other in others):
            return own
        from jvid.ensemble.borrowed import Lender

        return Lender(own)

    def _other(self, name: str, latent_frames: int | None) -> Callable[[str], Denoiser]:
        """The denoisers that wrappers of ``name`` may evaluate, by name; in windows where clips are longer than they know."""
        ensemble = self._ensemble()

        def other(wanted: str) -> Denoiser:
            self._named(name, wanted)
            own, denoiser = ensemble.clips(name), ensemble.clips(wanted)
            same_space({name: own, wanted: denoiser}, trusted=ensemble.same_space)
            if not ensemble.same_space:
                denoiser = in_space(denoiser, space_of(own))
            schedule = own.schedule
            if not ensemble.shares_conditioner(name, wanted):
                denoiser = Borrowed(denoiser, wanted)
            denoiser = self._borrowed(wanted, denoiser, latent_frames)
            # The wrapper evaluates it on its own expert's schedule, whatever it was trained on.
            return denoiser if denoiser.schedule == schedule else Bridged(denoiser, schedule)

        from jvid.core.bridged import Bridged
        from jvid.core.renormalized import in_space
        from jvid.core.spaces import same_space, space_of
        from jvid.ensemble.borrowed import Borrowed

        return other

    def _borrowed(self, name: str, denoiser: Denoiser, latent_frames: int | None) -> Denoiser:
        """A bare expert that another's wrappers evaluate, in windows where clips are longer than it knows."""
        whole = self._ensemble().member(name).takes_any_length
        return denoiser if whole else self._windowed(denoiser, latent_frames)

    def _named(self, name: str, other: str) -> Denoiser:
        """A stand-in for another expert that a wrapper of ``name`` evaluates, if there is such an expert."""
        known = None if self.ensemble is None else self.ensemble.experts
        if known is not None and other not in known:
            raise LookupError(f"expected one of {', '.join(known)}")
        if other == name:
            raise InputError(f"{name} cannot be its own weaker model: name another expert")
        return StandIn(self.schedule)

    def _window(self, latent_frames: int | None) -> tuple[int, int] | None:
        known = self._ensemble().shape[1]
        return windows(latent_frames or known, known, self.strategy.overlap)

    def _has_any_length(self, name: str) -> bool:
        """Whether an expert denoises frames alone, or has windows of its own."""
        windowed = any(choice.bare == "windowed" for choice in self.wrappers(name))
        return windowed or self._ensemble().member(name).takes_any_length

    def _long(self, name: str, denoiser: Denoiser, latent_frames: int | None) -> Denoiser:
        """The expert in windows where clips are longer than it knows."""
        # Guidance within a window: its halves are still one batch of the network's, and what is doubled is a
        # window and not the clip. The time is the network's either way.
        return denoiser if self._has_any_length(name) else self._windowed(denoiser, latent_frames)

    def _windowed(self, denoiser: Denoiser, latent_frames: int | None) -> Denoiser:
        window = self._window(latent_frames)
        if window is None:
            return denoiser
        from jvid.denoisers.windowed import Windowed

        return Windowed(denoiser, *window)


def compose(strategy: Strategy, ensemble: Ensemble, frames: int | None = None) -> Sampler:
    """Build the ``Sampler`` of a strategy for an ensemble; see ``Composition.sampler``.

    Args:
        strategy: choices of the registry.
        ensemble: whose experts they are for.
        frames: of the clips to come; None is the ensemble's.
    """
    return Composition(strategy, ensemble).sampler(ensemble.latents(frames)[1])
