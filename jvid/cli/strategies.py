"""The options of ``sample`` and ``plan`` that change a strategy, and what they make of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from jvid.errors import InputError, JvidError

if TYPE_CHECKING:
    from jvid.strategy.strategy import NoiseShape, Strategy

__all__ = [
    "File", "Frames", "Gamma", "Grid", "Guidance", "Overlap", "PairName", "Paper", "PlanSeed", "Ratio", "Selector",
    "Smooth", "Solver", "Steps", "changed", "lengthened", "started",
]  # fmt: skip

_PANEL = "Strategy (the pair's recommended one where nothing is said)"


def _option(*names: str, metavar: str, help: str) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=_PANEL)


PairName = Annotated[
    str | None, typer.Option("--pair", metavar="NAME", help="Pair of models (default: actions-64).")
]
Frames = Annotated[
    int | None, typer.Option("--frames", metavar="N", help="Frames of a clip (default: the pair's).")
]
Paper = Annotated[
    int | None, _option("--paper", metavar="64|128|256", help="Start from the paper's strategy for this size of frame.")
]  # fmt: skip
File = Annotated[
    Path | None, _option("--strategy", metavar="FILE", help="Start from the strategy of this file of JSON.")
]
Steps = Annotated[int | None, _option("--steps", metavar="N", help="Steps of the solver.")]
Guidance = Annotated[
    list[str] | None,
    _option(
        "--guidance", metavar="G",
        help="Scale of equation (4), 1 is unguided; or by expert: video=2,image=3, or "
        "video:scale=2,low=.2,high=.8,rescale=.5, within t from low to high. May be repeated.",
    ),
]  # fmt: skip
Selector = Annotated[
    str | None,
    _option(
        "--selector", metavar="NAME:A=1",
        help="Who predicts when: piecewise-affine:t_v=.2,t_e=.7,p_e=.3,p_f=.3 or always:name=video.",
    ),
]  # fmt: skip
Gamma = Annotated[
    str | None,
    _option("--gamma", metavar="X", help="Scale of the noise on image steps; or by expert: video=1,image=.1."),
]  # fmt: skip
Ratio = Annotated[
    str | None,
    _option("--ratio", metavar="R", help="Share of noise that frames have in common, on image steps; or by expert."),
]  # fmt: skip
Smooth = Annotated[
    str | None,
    _option("--smooth", metavar="NAME:A=1", help="temporal:threshold=2, gaussian:std=1, uniform:size=3 or none."),
]  # fmt: skip
Solver = Annotated[
    str | None,
    _option(
        "--solver", metavar="NAME:A=1", help="Such as ddpm, ddim:eta=0 or dpmpp-2m; see jvid names solver."
    ),
]
Grid = Annotated[
    str | None,
    _option(
        "--grid", metavar="NAME:A=1", help="Times visited, such as leading or karras; see jvid names grid."
    ),
]
PlanSeed = Annotated[int | None, _option("--plan-seed", metavar="N", help="Draws who predicts at each step.")]
Overlap = Annotated[
    int | None,
    _option("--overlap", metavar="N", help="Frames that neighbouring windows share, where --frames is above the pair's."),
]  # fmt: skip


def started(file: Path | None, paper: int | None) -> Strategy | None:
    """The strategy to start from, of a file or of the paper; None is the pair's recommended one.

    Raises:
        InputError: both, a size of frame that the paper does not have, or a file that holds no strategy.
    """
    from jvid.strategy.strategy import Strategy

    if file is None:
        return None if paper is None else Strategy.paper(paper)
    if paper is not None:
        raise InputError("--paper beside --strategy: each is a whole strategy, leave one out")
    strategy = Strategy.load(file)
    try:
        strategy.check()
    except JvidError as error:
        raise InputError(f"strategy {str(file)!r}: {error}") from error
    return strategy


def changed(
    base: Strategy,
    *,
    steps: int | None = None,
    guidance: Sequence[str] | None = None,
    selector: str | None = None,
    gamma: str | None = None,
    ratio: str | None = None,
    smooth: str | None = None,
    solver: str | None = None,
    grid: str | None = None,
    plan_seed: int | None = None,
    overlap: int | None = None,
) -> Strategy:
    """``base`` with what was said on the command line; every component's options are checked.

    Raises:
        InputError: a value of another form, or one that a component refuses.
        UnknownNameError: a component that nobody registers.
    """
    from jvid.strategy.choice import Choice

    said: dict[str, Any] = {"steps": steps, "plan_seed": plan_seed, "overlap": overlap}
    texts = {"selector": selector, "solver": solver, "grid": grid}
    said |= {key: None if text is None else Choice.parse(text) for key, text in texts.items()}
    changes = {key: value for key, value in said.items() if value is not None}
    if smooth is not None:
        changes["smoothing"] = None if smooth == "none" else Choice.parse(smooth)
    if guidance:
        from jvid.cli.guiding import guided

        changes["guidance"] = guided(base.guidance, guidance)
    noise = dict(base.noise)
    for field, text in (("gamma", gamma), ("ratio", ratio)):
        for expert, value in () if text is None else _by_expert(field, text):
            noise[expert] = _with(noise.get(expert), field, value)
    strategy = attrs.evolve(base, noise=noise, **changes)
    strategy.check()
    return strategy


def lengthened(shape: Sequence[int], frames: int | None, overlap: int | None) -> tuple[int, int, int, int]:
    """The shape of clips: a pair's ``(c, f, h, w)`` with --frames in place of f.

    Raises:
        InputError: no number of frames, or an --overlap that nothing would use.
    """
    from jvid.strategy.windows import clip_shape

    long = clip_shape(shape, frames)
    if overlap is not None and long[1] <= shape[1]:
        raise InputError(
            f"--overlap beside clips of {long[1]} frames: only those longer than the pair's {shape[1]} have windows, "
            "leave it out or ask for more --frames"
        )
    return long


def _by_expert(field: str, text: str) -> list[tuple[str, float]]:
    """``0.1`` is the image expert's; ``video=1,image=.1`` names them."""
    from jvid.strategy.choice import parse_value

    pairs = []
    for part in text.split(","):
        expert, equals, value = part.rpartition("=")
        number = parse_value(value.strip())
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise InputError(f"--{field} {text!r}: expected a number, or video=1,image=.1")
        pairs.append((expert.strip() if equals else "image", float(number)))
    return pairs


def _with(shape: NoiseShape | None, field: str, value: float) -> NoiseShape:
    from jvid.strategy.strategy import NoiseShape

    return attrs.evolve(shape or NoiseShape(), **{field: value})
