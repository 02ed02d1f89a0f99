"""Options that change a strategy, and the strategy that results."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs

from jvid.cli.groups import option_of
from jvid.errors import InputError, JvidWarning, located

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid.strategy.strategy import Strategy

__all__ = ["PANEL", "StartOptions", "StrategyOptions", "check_overlap", "labelled"]

PANEL = "Strategy (the ensemble's recommended one where nothing is given)"
_option = option_of(PANEL)


@attrs.frozen
class StartOptions:
    """The strategy to start from."""

    paper: Annotated[
        int | None,
        _option(
            "--paper", metavar="64|128|256", help="Start from the paper's strategy for this size of frame."
        ),
    ] = None
    strategy: Annotated[
        Path | None,
        _option("--strategy", metavar="FILE", help="Start from the strategy of this file of JSON."),
    ] = None

    def started(self) -> Strategy | None:
        """The strategy of the file or of the paper; None is the ensemble's recommended one.

        Raises:
            InputError: both, a size of frame that the paper does not have, or a file that holds no strategy.
        """
        from jvid import paper
        from jvid.strategy.strategy import Strategy

        if self.strategy is None:
            return None if self.paper is None else paper.strategy(self.paper)
        if self.paper is not None:
            raise InputError("--paper beside --strategy: each is a whole strategy, leave one out")
        return Strategy.load(self.strategy)

    def of(self, ensemble: Ensemble, stated: Strategy | None) -> Strategy:
        """``stated``, which is what ``started`` gave, or else the ensemble's recommended strategy.

        Raises:
            InputError: a strategy of a file that does not fit the ensemble.
        """
        from jvid.ensemble.compose import Composition
        from jvid.strategy.simple import simple

        if stated is None:
            return ensemble.strategy or simple(ensemble.experts)
        if self.strategy is not None:
            with located(f"strategy {str(self.strategy)!r}"):
                Composition(stated, ensemble).check()
        return stated


@attrs.frozen
class StrategyOptions:
    """What is changed of the strategy to start from."""

    steps: Annotated[int | None, _option("--steps", metavar="N", help="Steps of the solver.")] = None
    selector: Annotated[
        str | None,
        _option(
            "--selector", metavar="NAME:A=1",
            help="Which experts predict at a step: always:name=video, boundary:experts=high+low,at=.4; "
            "see jvid names selector.",
        ),
    ] = None  # fmt: skip
    solver: Annotated[
        str | None,
        _option(
            "--solver",
            metavar="NAME:A=1",
            help="Such as ddpm, ddim:eta=0 or dpmpp-2m; see jvid names solver.",
        ),
    ] = None
    grid: Annotated[
        str | None,
        _option(
            "--grid",
            metavar="NAME:A=1",
            help="Times visited, such as leading or karras; see jvid names grid.",
        ),
    ] = None
    schedule: Annotated[
        str | None,
        _option("--schedule", metavar="NAME:A=1", help="Reference schedule; see jvid names schedule."),
    ] = None
    guidance: Annotated[
        list[str] | None,
        _option(
            "--guidance", metavar="G",
            help="Scale of equation (4), 1 is unguided; or by expert: video=2,image=3, or video:scale=2,low=.2,high=.8 within t "
            "from low to high, with rescale=.5 and against=NAME. May be repeated.",
        ),
    ] = None  # fmt: skip
    wrapper: Annotated[
        list[str] | None,
        _option(
            "--wrapper", metavar="[NAME=]CHOICE",
            help="Wrapper of one expert's denoiser, or of each: high=guided:scale=3; the innermost first, in place of the "
            "strategy's, or NAME=none. May be repeated.",
        ),
    ] = None  # fmt: skip
    noise: Annotated[
        list[str] | None,
        _option(
            "--noise", metavar="[NAME=]CHOICE",
            help="Noise of one expert's steps, or of each: high=mixed:alpha=1; see jvid names noise. May be repeated.",
        ),
    ] = None  # fmt: skip
    gamma: Annotated[
        str | None,
        _option(
            "--gamma",
            metavar="X",
            help="Scale of the noise on steps of frame experts; or by expert: video=1,image=.1.",
        ),
    ] = None
    ratio: Annotated[
        str | None,
        _option(
            "--ratio",
            metavar="R",
            help="Share of noise that frames have in common on those steps; or by expert.",
        ),
    ] = None
    initial: Annotated[
        str | None, _option("--initial", metavar="NAME:A=1", help="Noise that clips start from; or none.")
    ] = None
    smooth: Annotated[
        str | None,
        _option(
            "--smooth", metavar="NAME:A=1",
            help="In place of all postprocessors: temporal:threshold=2, gaussian:std=1, uniform:size=3 or none.",
        ),
    ] = None  # fmt: skip
    postprocessor: Annotated[
        list[str] | None,
        _option(
            "--postprocessor",
            metavar="NAME:A=1",
            help="One more postprocessor of the latents. May be repeated.",
        ),
    ] = None
    plan_seed: Annotated[
        int | None,
        _option("--plan-seed", metavar="S", help="Seed that the plan is drawn from."),
    ] = None
    overlap: Annotated[
        int | None,
        _option(
            "--overlap", metavar="N", help="Frames that windows share, in clips longer than the ensemble's."
        ),
    ] = None

    def changed(self, base: Strategy, ensemble: Ensemble | None = None) -> Strategy:
        """``base`` with what the options state.

        Args:
            base: the strategy to start from.
            ensemble: its experts of frames get ``--gamma`` and ``--ratio`` without a name (``image`` if None), and ``--guidance``
                keeps its own wrappers.

        Raises:
            InputError: a value of another form, or one that is out of range.

        Warns:
            JvidWarning: options of experts that the selector never chooses.
        """
        from jvid.cli.shorthand import by_expert, guided, named_experts, stacked
        from jvid.plugins.choice import Choice
        from jvid.strategy.shorthand import with_noise

        changes: dict[str, Any] = {}
        for key in ("steps", "plan_seed", "overlap"):
            if (number := getattr(self, key)) is not None:
                changes[key] = number
        for key in ("selector", "solver", "grid", "schedule", "initial"):
            if (text := getattr(self, key)) is not None:
                absent = text == "none" and key in ("schedule", "initial")
                changes[key] = None if absent else Choice.parse(text)
        if self.smooth is not None:
            changes["postprocessors"] = () if self.smooth == "none" else (Choice.parse(self.smooth),)
        if self.postprocessor:
            before = changes.get("postprocessors", base.postprocessors)
            changes["postprocessors"] = (*before, *map(Choice.parse, self.postprocessor))
        strategy = attrs.evolve(base, **changes)
        if self.wrapper or self.noise:
            strategy = stacked(strategy, self.wrapper or (), self.noise or ())
        if self.guidance:
            strategy = guided(strategy, self.guidance, ensemble.default_wrappers if ensemble else None)
        named = named_experts(self.guidance or (), [*(self.wrapper or ()), *(self.noise or ())])
        for field in ("gamma", "ratio"):
            if (text := getattr(self, field)) is not None:
                for expert, value in by_expert(
                    field, text, ensemble.frame_experts if ensemble else ("image",)
                ):
                    strategy = with_noise(strategy, expert, **{field: value})
                    named.append(expert)
        _warn_of_unchosen(strategy, dict.fromkeys(named), ensemble)
        return strategy


def _warn_of_unchosen(strategy: Strategy, names: Iterable[str], ensemble: Ensemble | None) -> None:
    """Warn of options for experts that the selector cannot choose; names that the ensemble does not have are errors later."""
    from jvid.core.protocols import DeclaresExperts
    from jvid.ensemble import Composition

    known = [name for name in names if ensemble is None or name in ensemble.experts]
    if not known:
        return
    selector = Composition(strategy, ensemble).selector
    declared = selector.experts if isinstance(selector, DeclaresExperts) else ()
    stacks = (choice for each in strategy.experts.values() for choice in each.wrappers or ())
    others = [
        value for choice in stacks for value in choice.options.values()
    ]  # names of other experts among them
    if declared and (unused := [name for name in known if name not in declared and name not in others]):
        warnings.warn(
            f"options of {', '.join(unused)} change nothing: selector {strategy.selector.name} chooses {', '.join(declared)} "
            "alone; leave them out, or take a selector that names it",
            JvidWarning,
            stacklevel=3,
        )


def check_overlap(overlap: int | None, ensemble: Ensemble, frames: int | None) -> None:
    """Refuse an --overlap that nothing would use.

    Raises:
        InputError: clips are no longer than the ensemble's.
    """
    if overlap is not None and (latents := ensemble.latents(frames)[1]) <= ensemble.shape[1]:
        raise InputError(
            f"--overlap beside clips of {ensemble.frames.frames(latents)} frames: only those longer than the ensemble's "
            f"{ensemble.frames.frames(ensemble.shape[1])} have windows, leave it out or pass more --frames"
        )


def labelled(texts: Sequence[str], option: str) -> dict[str, str]:
    """``LABEL=PATH``, or a path whose file's name is the label, as paths by label.

    Raises:
        InputError: two of one label.
    """
    found: dict[str, str] = {}
    for text in texts:
        label, equals, path = (part.strip() for part in text.partition("="))
        if not equals or not path or "/" in label:
            label, path = Path(text).stem, text
        if label in found:
            raise InputError(
                f"{option} {text!r}: label {label!r} is given twice, expected LABEL=FILE with another"
            )
        found[label] = path
    return found
