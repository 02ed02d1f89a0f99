"""How a pair is sampled, as plain values: what travels in a clip's metadata and in a pair's card.

    Strategy.sampler(pair):  experts   video = Guided(pair.video, g); of long clips in windows
                                       image = Guided(Framewise(pair.image), g)
                                       either away from the null condition, or from another denoiser of the pair
                             noise     gamma z, z of shared variance r (3.5), on each expert's own steps
                             selector, solver, grid, smoothing: loaded from the registry by name

A strategy is JSON and back without loss; ``Strategy.plan`` draws who predicts when without a network.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from jvid.ensemble import EXPERTS, denoiser_of, guide_of
from jvid.errors import InputError, JvidWarning
from jvid.strategy.choice import Choice
from jvid.strategy.guidance import AnyGuidance, as_guidance, guidance_of

if TYPE_CHECKING:
    from jvid.core.plan import Plan
    from jvid.core.protocols import Denoiser, LatentPostprocessor, NoiseSampler, NoiseSchedule, Selector
    from jvid.core.sampler import Sampler
    from jvid.ensemble import Pair

__all__ = ["EXPERTS", "NoiseShape", "Strategy"]


@attrs.frozen
class NoiseShape:
    """gamma and r of section 3.5, on the steps of one expert."""

    gamma: float = 1.0
    ratio: float = 0.0

    def __attrs_post_init__(self) -> None:
        if not 0.0 <= self.gamma < math.inf:
            raise InputError(f"gamma {self.gamma!r}: expected a finite number, 0 or more")
        if not 0.0 <= self.ratio <= 1.0:
            raise InputError(f"ratio {self.ratio!r}: expected a number from 0 to 1")

    def sampler(self) -> NoiseSampler | None:
        """The noise sampler; None where it is plain independent noise."""
        from jvid.noise import IndependentNoise, ScaledNoise, SharedNoise

        inner = SharedNoise(self.ratio) if self.ratio else IndependentNoise()
        if self.gamma != 1.0:
            return ScaledNoise(inner, self.gamma)
        return inner if self.ratio else None


def _frozen(noise: Mapping[str, NoiseShape]) -> Mapping[str, NoiseShape]:
    return MappingProxyType(dict(noise))


@attrs.frozen
class Strategy:
    """A sampling strategy for a pair.

    Attributes:
        selector: who predicts at a step.
        solver: how a prediction becomes the next latents.
        grid: which times are visited, for a number of ``steps``; steps is not among its options.
        steps: of the grid.
        guidance: the scale g of equation (4) of all experts, or a ``Guidance`` by expert; then all that
            the selector may choose are named.
        noise: gamma and r by expert; an expert that is absent draws plain noise.
        smoothing: of the finished latents (section 3.6), or None.
        plan_seed: draws the plan; a clip's own seed draws its noise.
        overlap: frames that neighbouring windows share, in clips longer than the pair's.

    Raises:
        InputError: a value out of range, or noise or guidance for an unknown expert.
    """

    selector: Choice
    solver: Choice = attrs.field(factory=lambda: Choice("ddpm"))
    grid: Choice = attrs.field(factory=lambda: Choice("leading"))
    steps: int = 50
    guidance: AnyGuidance = attrs.field(default=2.0, converter=as_guidance, hash=False)
    noise: Mapping[str, NoiseShape] = attrs.field(factory=dict, converter=_frozen, hash=False)
    smoothing: Choice | None = None
    plan_seed: int = 0
    overlap: int = 4

    def __attrs_post_init__(self) -> None:
        if not _is_whole(self.steps, least=1):
            raise InputError(f"steps {self.steps!r}: expected a whole number, 1 or more")
        if not _is_whole(self.plan_seed, least=0):
            raise InputError(f"plan seed {self.plan_seed!r}: expected a whole number, 0 or more")
        if not _is_whole(self.overlap, least=0):
            raise InputError(f"overlap {self.overlap!r}: expected a whole number of frames, 0 or more")
        if unknown := sorted(set(self.noise) - set(EXPERTS)):
            raise InputError(f"noise for expert {unknown[0]!r}: expected one of {', '.join(EXPERTS)}")

    def __reduce__(self) -> tuple[Callable[..., Strategy], tuple[object, ...]]:
        # A mapping proxy does not pickle, and strategies travel to other processes.
        values = (getattr(self, field.name) for field in attrs.fields(Strategy))
        return Strategy, tuple(dict(v) if isinstance(v, MappingProxyType) else v for v in values)

    @classmethod
    def paper(cls, resolution: int = 64) -> Strategy:
        """The paper's at 64, 128 or 256 pixels: Table 6, gamma on image steps, smoothing of factor 2.

        Raises:
            InputError: another resolution.
        """
        from jvid import paper

        if resolution not in paper.TABLE_6:
            known = ", ".join(map(str, paper.TABLE_6))
            raise InputError(f"resolution {resolution!r}: expected one of {known}")
        affine = paper.TABLE_6[resolution]
        return cls(
            selector=Choice("piecewise-affine", {key: getattr(affine, key) for key in ("t_v", "t_e", "p_e", "p_f")}),
            steps=paper.STEPS,
            guidance=paper.GUIDANCE,
            noise={"image": NoiseShape(gamma=paper.GAMMA[resolution], ratio=paper.RATIO)},
            smoothing=Choice("temporal", {"threshold": paper.SMOOTHING}),
        )  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Strategy:
        """A strategy from ``to_dict``'s values; a choice may also be text, ``"ddim:eta=0"``.

        Raises:
            InputError: a key is missing or unknown, or a value has another form.
        """
        from jvid.strategy.strategy_json import structured

        return structured(values, cls)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        from jvid.strategy.strategy_json import plain

        return plain(self)

    @classmethod
    def load(cls, path: str | Path) -> Strategy:
        """The strategy of a file that ``save`` wrote, or that has its keys.

        Raises:
            InputError: no such file, no JSON, or no strategy; the message names the file.
        """
        from jvid.strategy.strategy_json import read

        return read(path, cls)

    def save(self, path: str | Path) -> None:
        """Write the strategy to a file of JSON, whole or not at all; ``load`` gives an equal one.

        Raises:
            InputError: no .json, or a folder that is not there or cannot be written to.
        """
        from jvid.strategy.strategy_json import write

        write(self, path)

    def experts(self) -> tuple[str, ...]:
        """Those of ``EXPERTS`` that the selector may choose; all if it does not tell.

        Raises:
            InputError: the selector names another.
        """
        told = getattr(self._selector(), "experts", EXPERTS)
        if unknown := [name for name in told if name not in EXPERTS]:
            raise InputError(
                f"selector {self.selector.name!r} asks for {unknown[0]!r}: expected video or image"
            )
        return tuple(name for name in EXPERTS if name in told)

    def plan(self, schedule: NoiseSchedule | None = None) -> Plan:
        """The plan on a reference schedule, the paper's if None; no network is needed.

        Raises:
            InputError: an option that a component refuses.
            UnknownNameError: a component that nobody registers.
        """
        from jvid.core.planning import draw_plan, levels_of
        from jvid.paper import SCHEDULE

        reference = SCHEDULE() if schedule is None else schedule
        levels = levels_of(self._grid(), reference)
        return draw_plan(self._selector(), levels, self.experts(), self.plan_seed, reference)

    def inert(self, schedule: NoiseSchedule | None = None) -> dict[str, NoiseShape]:
        """The entries of ``noise`` that change nothing: of experts on none of whose steps the solver draws noise.

        A deterministic solver draws none at all, and gamma and r are without effect under it.

        Raises:
            InputError: an option that a component refuses.
            UnknownNameError: a component that nobody registers.
        """
        from jvid.strategy.drawing import drawing_steps

        if not self.noise:
            return {}
        drawn = {step.expert for step in drawing_steps(self.solver.load("solver"), self.plan(schedule).steps)}
        return {name: shape for name, shape in self.noise.items() if name not in drawn}

    def sampler(self, pair: Pair, frames: int | None = None) -> Sampler:
        """Compose the strategy from a pair's experts; only those that the selector may choose are loaded.

        ``frames`` of the clips to come; None is the pair's. The video expert of longer ones sees windows of the pair's frames.

        Raises:
            InputError: an option that a component refuses, an expert without guidance, or windows that do not fit.
            UnknownNameError: a component that nobody registers.

        Warns:
            JvidWarning: what ``tell_unused_noise`` tells.
        """
        from jvid.core.protocols import Expert
        from jvid.core.sampler import Sampler
        from jvid.denoisers.windowed import Windowed
        from jvid.strategy.windows import clip_shape, windows

        # First what costs nothing: a wrong option is told before weights are read.
        selector, grid, smoothing = self._selector(), self._grid(), self.postprocessors()
        solver = self.solver.load("solver")
        guidance = {name: guidance_of(self.guidance, name) for name in self.experts()}
        self.tell_unused_noise(pair.schedule)
        asked, known = clip_shape(pair.shape, frames)[1], pair.shape[1]
        window = windows(asked, known, self.overlap) if "video" in guidance else None
        experts = {}
        for name, guide in guidance.items():
            denoiser: Denoiser = guide.guided(denoiser_of(pair, name), guide_of(pair, name, guide.against))
            if name == "video" and window is not None:
                # Guidance within a window: its halves are still one batch of the network's, and what is doubled is a
                # window and not the clip. The time is the network's either way.
                denoiser = Windowed(denoiser, *window)
            experts[name] = Expert(denoiser, self.noise.get(name, NoiseShape()).sampler())
        return Sampler(experts, selector, solver, grid, pair.schedule, smoothing)

    def tell_unused_noise(self, schedule: NoiseSchedule | None = None) -> None:
        """Warn (`JvidWarning`) of gamma and r that change nothing, whatever the plan: the solver draws no noise at any step."""
        # Of the solver alone: the sampler may be run on another plan, in which other steps are an expert's.
        from jvid.strategy.drawing import drawing_steps

        shaped = [name for name in self.experts() if self.noise.get(name, NoiseShape()) != NoiseShape()]
        if shaped and not drawing_steps(self.solver.load("solver"), self.plan(schedule).steps):
            warnings.warn(
                f"noise of {', '.join(shaped)} (gamma, ratio) changes nothing: solver {self.solver.name} draws no noise; "
                "leave it out, or take a solver that draws some",
                JvidWarning,
                stacklevel=3,
            )

    def check(self) -> None:
        """Load every component but the experts.

        Raises:
            InputError: an option that a component refuses, or an expert without guidance.
            UnknownNameError: a component that nobody registers.
        """
        self._grid(), self.postprocessors(), self.solver.load("solver")
        for name in self.experts():
            guidance_of(self.guidance, name)

    def postprocessors(self) -> tuple[LatentPostprocessor, ...]:
        """The smoothing, or nothing."""
        return () if self.smoothing is None else (self.smoothing.load("postprocessor"),)

    def _selector(self) -> Selector:
        selector: Selector = self.selector.load("selector")
        return selector

    def _grid(self) -> Callable[[NoiseSchedule], Sequence[float]]:
        from jvid.plugins.options import parameters
        from jvid.plugins.registry import current, imported

        # A grid of explicit times has as many steps as it has.
        factory = imported(current().find("grid", self.grid.name))
        counted = {"steps": self.steps} if "steps" in parameters(factory) else {}
        grid: Callable[[NoiseSchedule], Sequence[float]] = self.grid.load("grid", **counted)
        return grid


def _is_whole(value: Any, least: int | None = None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and (least is None or value >= least)
