"""One form of strategies that make the same clips, whatever they are written as."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch

from jvid import paper
from jvid.ensemble import Ensemble, Member, compose
from jvid.ensemble.canonical import canonical
from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule
from jvid.strategy import ExpertStrategy, Guidance, Strategy
from jvid.strategy.legacy import downgraded
from jvid.strategy.shorthand import with_guidance, with_noise
from jvid.testing import GaussianOracle

SCHEDULE = TabulatedSchedule.scaled_linear()
BASE = paper.strategy(64)
OLD: dict[str, Any] = {
    "selector": {"name": "piecewise-affine", "options": {"t_v": 0.2, "t_e": 0.7, "p_e": 0.3, "p_f": 0.3}},
    "solver": {"name": "ddpm", "options": {}}, "grid": {"name": "leading", "options": {}}, "steps": 50,
    "guidance": 2.0, "noise": {"image": {"gamma": 0.02, "ratio": 0.0}},
    "smoothing": {"name": "temporal", "options": {"threshold": 2.0}}, "plan_seed": 0, "overlap": 4,
}  # fmt: skip

WITHIN = {
    "video": {"scale": 3.0, "interval": [0.2, 0.8], "rescale": 0.5},
    "image": {"scale": 2.0, "interval": None, "rescale": 0.0},
}


def models(*names: str, guided: tuple[str, ...] = ("guided:scale=2.0",)) -> Ensemble:
    """Oracles on one schedule, by default those of the paper's names and a guide."""
    members = {
        name: Member(GaussianOracle(SCHEDULE, 0.1 * place, 1.0), wrappers=guided)
        for place, name in enumerate(names or ("video", "image", "early"))
    }
    return Ensemble(members, (1, 2, 2, 2), schedule=SCHEDULE)


EQUAL: dict[str, Strategy] = {
    "inherited": attrs.evolve(BASE, experts={"image": BASE.experts["image"]}),
    "by name": with_guidance(BASE, {"video": 2.0, "image": 2.0}),
    "of an expert that is never chosen": with_guidance(BASE, {"early": 3.0}),
    "everywhere": with_guidance(BASE, Guidance(2.0, (0.0, 1.0))),
    "noise that is plain": with_noise(BASE, "video", gamma=1.0),
    "noise by another name": attrs.evolve(
        BASE, experts={**BASE.experts, "video": ExpertStrategy(noise="independent")}
    ),
    "initial noise that is plain": attrs.evolve(BASE, initial="shared:ratio=0.0"),
    "the ensemble's schedule": attrs.evolve(BASE, schedule="scaled-linear"),
    "its own file": Strategy.from_dict(BASE.to_dict()),
    "an older file": Strategy.from_dict(OLD),
    "an older file by name": Strategy.from_dict({**OLD, "guidance": {"video": 2.0, "image": {"scale": 2.0}}}),
}
OTHER: dict[str, Strategy] = {
    "guidance": with_guidance(BASE, 3.0),
    "of one expert": with_guidance(BASE, {"video": 3.0}),
    "interval": with_guidance(BASE, {"video": Guidance(2.0, (0.2, 0.8))}),
    "unguided": with_guidance(BASE, 1.0),
    "noise": with_noise(BASE, "video", gamma=0.5),
    "initial": attrs.evolve(BASE, initial="shared:ratio=.5"),
    "schedule": attrs.evolve(BASE, schedule="cosine"),
    "wrapper": attrs.evolve(BASE, experts={**BASE.experts, "video": ExpertStrategy(("windowed:size=1,stride=1",))}),
    "plan seed": attrs.evolve(BASE, plan_seed=1),
}  # fmt: skip


@pytest.mark.parametrize("how", EQUAL)
def test_equal_strategies_have_one_form(how: str) -> None:
    form = canonical(BASE, models())
    assert canonical(EQUAL[how], models()) == form
    assert canonical(form, models()) == form
    assert Strategy.from_dict(form.to_dict()) == form


@pytest.mark.parametrize("how", OTHER)
def test_other_strategies_have_others(how: str) -> None:
    assert canonical(OTHER[how], models()) != canonical(BASE, models())


def test_the_form_is_what_is_inherited() -> None:
    bare = Strategy("always:name=video")
    assert canonical(bare, models()).experts == {"*": ExpertStrategy(("guided:scale=2.0",))}
    assert canonical(bare, models(guided=())).experts == {"*": ExpertStrategy(())}
    # Without an ensemble nothing is known of that.
    assert canonical(bare).experts == {}


def test_a_scale_of_1_is_no_wrapper() -> None:
    unguided = with_guidance(Strategy("always:name=a"), 1.0)
    ensemble = models("a", "b")
    assert canonical(unguided, ensemble).experts == {"*": ExpertStrategy(())}
    made = [
        compose(strategy, ensemble)((1, 2, 2, 2), seeds=[1], cond={})
        for strategy in (
            attrs.evolve(unguided, steps=4),
            attrs.evolve(canonical(unguided, ensemble), steps=4),
        )
    ]
    assert torch.equal(*made)


def test_noise_that_no_step_draws_is_left_out() -> None:
    shaped = with_noise(attrs.evolve(BASE, solver="unipc"), "image", gamma=0.1)
    assert canonical(shaped, models()) == canonical(with_noise(shaped, "image", gamma=1.0), models())


def test_what_a_component_refuses_is_reported() -> None:
    with pytest.raises(InputError, match="names expert 'sound'"):
        canonical(Strategy("always:name=sound"), models())


@pytest.mark.parametrize("guidance", [2.0, 1.0, WITHIN])
@pytest.mark.parametrize("smoothing", [None, OLD["smoothing"]])
def test_the_older_form_is_written_as_it_was(guidance: Any, smoothing: Any) -> None:
    """An expert that is never chosen had a scale of 2, or that of all."""
    for selector in (OLD["selector"], {"name": "always", "options": {"name": "video"}}):
        old = {**OLD, "guidance": guidance, "smoothing": smoothing, "selector": selector}
        chosen = ("video", "image") if selector is OLD["selector"] else ("video",)
        if "image" not in chosen:
            old["noise"] = {}
        form = canonical(Strategy.from_dict(old), models())
        assert downgraded(form.to_dict(), chosen) == old


@pytest.mark.parametrize(
    "strategy",
    [
        Strategy("always:name=early"),
        attrs.evolve(BASE, postprocessors=("temporal", "gaussian")),
        attrs.evolve(BASE, experts={**BASE.experts, "video": ExpertStrategy(noise="mixed:alpha=1")}),
        attrs.evolve(BASE, experts={**BASE.experts, "video": ExpertStrategy(("windowed:size=1,stride=1",))}),
        attrs.evolve(BASE, initial="shared:ratio=.5"),
    ],
    ids=["expert", "postprocessors", "noise", "wrapper", "initial"],
)
def test_what_the_older_form_had_no_words_for(strategy: Strategy) -> None:
    form = canonical(strategy, models())
    experts = ("early",) if strategy.selector.options.get("name") == "early" else ("video", "image")
    assert downgraded(form.to_dict(), experts) is None
