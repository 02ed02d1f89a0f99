"""A strategy and an ensemble make a sampler: of these components, each loaded once, in this order, or one line why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

import jvid
from jvid import paper
from jvid.core.evaluations import draws_noise
from jvid.core.spaces import LatentSpace
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.ensemble import Composition, Deferred, Ensemble, Member, compose
from jvid.errors import InputError, JvidError, UnknownNameError
from jvid.noise import IndependentNoise, MixedNoise, ScaledNoise, SharedNoise
from jvid.plugins import hookimpl
from jvid.plugins.choice import Choice
from jvid.plugins.registrar import Registrar
from jvid.plugins.registry import Registry, current
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.strategy import EVERY, ExpertStrategy, Strategy
from jvid.strategy.shorthand import with_noise
from jvid.testing import GaussianOracle
from tests.toy import SCHEDULE, SHAPE, STRATEGY, built, toy_ensemble, toy_registry

pytestmark = pytest.mark.usefixtures("toys")
ORACLE = GaussianOracle(SCHEDULE, 0.2, 0.5)
CYCLE = Strategy("cycle:experts=a+b", "ddim", steps=4)


@attrs.frozen(eq=False)
class Marked:
    """A wrapper that leaves its mark in the prediction: 2 x_0 + by, so that the order of wrappers shows."""

    denoiser: Any
    by: float = 1.0

    @property
    def schedule(self) -> Any:
        return self.denoiser.schedule

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        return 2.0 * self.denoiser(x, t, cond) + self.by


def counting(calls: Counter[str]) -> Registry:
    """The built-ins behind factories that count, one or two of each kind, and the wrapper ``marked``."""
    inner = toy_registry()

    def counted(kind: str, name: str) -> Callable[..., Any]:
        def factory(**options: Any) -> Any:
            calls[f"{kind} {name}"] += 1
            return inner.load(kind, name, **options)

        return factory

    class Counting:
        @hookimpl
        def jvid_register(self, register: Registrar) -> None:
            for kind, names in (("selector", ["cycle"]), ("solver", ["ddim"]), ("schedule", ["cosine"]),
                                ("noise", ["mixed", "shared", "offset"]), ("postprocessor", ["temporal", "gaussian"]),
                                ("denoiser", ["gaussian"]), ("codec", ["pixels"])):  # fmt: skip
                for name in names:
                    getattr(register, kind)(name, counted(kind, name))
            register.grid("trailing", lambda steps: counted("grid", "trailing")(steps=steps))

            @register.wrapper("marked")
            def marked(denoiser: Any, by: float = 1.0) -> Marked:
                calls["wrapper marked"] += 1
                return Marked(denoiser, by)

            @register.text("lengths")
            def lengths() -> Any:
                calls["text lengths"] += 1
                return lambda prompts: {"text": torch.tensor([[float(len(each))] for each in prompts])}

    registry = Registry(entry_points=False)
    registry.add(Counting(), "counting")
    return registry


def pair(**members: Member) -> Ensemble:
    return Ensemble({"a": ORACLE, "b": ORACLE, **members}, SHAPE, name="two", schedule=SCHEDULE)


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_the_papers_strategy_is_jvid_papers_sampler(resolution: int) -> None:
    toy = toy_ensemble()
    by_name = compose(paper.strategy(resolution), toy)
    by_hand = paper.sampler(toy.denoiser("video"), toy.denoiser("image"), resolution)
    assert by_name.selector == by_hand.selector
    assert by_name.postprocessors == by_hand.postprocessors
    assert by_name.plan(3) == by_hand.plan(3)
    arguments = {"shape": toy.shape, "seeds": [5, 6], "cond": toy.condition(["a person waving"] * 2)}
    assert torch.equal(by_name(**arguments), by_hand(**arguments))


def test_the_plan_is_the_samplers_and_needs_no_network() -> None:
    toy = toy_ensemble()
    composition = Composition(attrs.evolve(STRATEGY, plan_seed=9), toy)
    plan = composition.plan()
    composition.check()
    composition.condition(["a person waving"])
    assert built == []
    assert plan == composition.sampler().plan(9)
    # Without an ensemble the paper's schedule is the reference; the toy's is the same.
    assert Composition(composition.strategy).plan() == plan
    assert Composition(composition.strategy).experts == ("video", "image")


@pytest.mark.parametrize("name", ["video", "image"])
def test_an_expert_that_is_never_chosen_is_not_built(name: str) -> None:
    strategy = Strategy(Choice("always", {"name": name}), steps=2)
    assert tuple(compose(strategy, toy_ensemble()).experts) == (name,)
    assert built == [name]


def test_each_component_is_loaded_once() -> None:
    calls: Counter[str] = Counter()
    registry = counting(calls)
    source = jvid.Source(
        experts={"a": "gaussian:schedule=cosine", "b": "gaussian:schedule=cosine,std=.5"},
        text={"*": "lengths"}, codec="pixels", shape=SHAPE,
    )  # fmt: skip
    ensemble = source.load(registry=registry)
    strategy = Strategy(
        "cycle:experts=a+b", "ddim:eta=1", "trailing", 4,
        experts={"a": ExpertStrategy(("marked:by=.1",), "mixed:alpha=1"), "b": ExpertStrategy(("marked",), "shared:ratio=.5")},
        postprocessors=("temporal:threshold=2", "gaussian:std=1"), schedule="cosine", initial="offset",
    )  # fmt: skip
    composition = Composition(strategy, ensemble, registry)
    composition.check()
    composition.warn_of_unused_noise()
    sampler = composition.sampler()
    for prompts in (["walk"], ["run", "fly"]):
        sampler(
            SHAPE, seeds=range(len(prompts)), cond=composition.condition(prompts), plan=composition.plan()
        )
    composition.sampler(9)
    _ = ensemble.codec, ensemble.codec
    assert calls == {
        "denoiser gaussian": 2, "schedule cosine": 1,
        "wrapper marked": 6,  # of two experts and of two samplers, and once for each expert around a placeholder
        "selector cycle": 1, "solver ddim": 1, "grid trailing": 1, "noise mixed": 1, "noise shared": 1, "noise offset": 1,
        "postprocessor temporal": 1, "postprocessor gaussian": 1, "text lengths": 1, "codec pixels": 1,
    }  # fmt: skip


def test_wrappers_are_stacked_from_the_inside_out() -> None:
    registry = counting(Counter())
    strategy = Strategy(
        "always:name=a", "ddim", experts={"a": ExpertStrategy(("marked:by=1", "marked:by=10"))}, steps=2
    )
    inner = toy_registry()
    both = Registry(entry_points=False)
    for plugin in (registry.plugins[0], inner.plugins[0]):
        both.add(_again(plugin), plugin.name)
    strategy = attrs.evolve(
        strategy, selector="builtin/always:name=a", solver="builtin/ddim", grid="builtin/leading"
    )
    denoiser = Composition(strategy, pair(), both).sampler().experts["a"].denoiser
    assert (denoiser.by, denoiser.denoiser.by, denoiser.denoiser.denoiser) == (10.0, 1.0, ORACLE)
    x, t = torch.ones(1, *SHAPE), torch.tensor(0.5)
    assert torch.equal(denoiser(x, t, {}), 2 * (2 * ORACLE(x, t, {}) + 1) + 10)


def _again(plugin: Any) -> SimpleNamespace:
    """A plugin that registers what another one does."""

    def jvid_register(register: Registrar) -> None:
        for each in plugin.components:
            getattr(register, each.kind)(each.name, each.target, help=each.help)

    return SimpleNamespace(jvid_register=hookimpl(jvid_register))


def stack(composition: Composition, name: str) -> list[str]:
    return list(map(str, composition.wrappers(name)))


def test_defaults_are_the_ensembles_where_the_strategy_states_none() -> None:
    members = {name: Member(ORACLE, wrappers=("guided:scale=2",)) for name in "abcd"}
    ensemble = pair(**members)
    stated = {
        "a": ExpertStrategy(noise="shared:ratio=1"),
        "b": ExpertStrategy(()),
        "c": ExpertStrategy(("cached",)),
    }
    cycle = Strategy("cycle:experts=a+b+c+d", experts=stated)
    found = {name: stack(Composition(cycle, ensemble), name) for name in "abcd"}
    assert found == {"a": ["guided:scale=2"], "b": [], "c": ["cached"], "d": ["guided:scale=2"]}
    # "*" holds for each that is not named, in place of the defaults, and noise and wrappers by themselves.
    every = cycle.with_expert(EVERY, ExpertStrategy(("guided:scale=3",), "mixed:alpha=1"))
    composition = Composition(every, ensemble)
    found = {name: stack(composition, name) for name in "abcd"}
    assert found == {"a": ["guided:scale=3"], "b": [], "c": ["cached"], "d": ["guided:scale=3"]}
    assert composition.noises == {"a": SharedNoise(1.0), **dict.fromkeys("bcd", MixedNoise(1.0))}
    experts = composition.sampler().experts
    assert isinstance(experts["a"].denoiser, Guided)
    assert experts["b"].denoiser is ORACLE
    # A composition without an ensemble knows no defaults.
    assert stack(Composition(cycle), "a") == []


def test_gamma_and_ratio_shape_the_noise_of_their_expert() -> None:
    strategy = with_noise(with_noise(STRATEGY, "image", 0.5, 0.25), "video", ratio=1.0)
    experts = compose(strategy, toy_ensemble()).experts
    assert experts["image"].noise == ScaledNoise(SharedNoise(0.25), 0.5)
    assert experts["video"].noise == SharedNoise(1.0)
    only_gamma = compose(with_noise(STRATEGY, "image", 0.5, 0.0), toy_ensemble()).experts["image"].noise
    assert only_gamma == ScaledNoise(SharedNoise(0.0), 0.5)
    plain = compose(with_noise(STRATEGY, "image", 1.0, 0.0), toy_ensemble())
    assert plain.experts["image"].noise is None or plain.experts["image"].noise == IndependentNoise()


def test_frames_are_lifted_before_they_are_wrapped() -> None:
    guided = compose(STRATEGY, toy_ensemble()).experts["image"].denoiser
    assert isinstance(guided, Guided)
    assert isinstance(guided.denoiser, Framewise)


def test_the_reference_schedule_is_the_strategys_or_the_ensembles() -> None:
    flow = Ensemble({"a": ORACLE}, SHAPE, schedule=FlowMatching(3.0))
    always = Strategy("always:name=a", steps=3)
    assert Composition(always, flow).schedule == compose(always, flow).schedule == FlowMatching(3.0)
    changed = attrs.evolve(always, schedule="cosine")
    assert compose(changed, flow).schedule == TabulatedSchedule.cosine()
    assert Composition(always).schedule == paper.SCHEDULE()


def test_the_first_noise_and_the_postprocessors_are_the_strategys() -> None:
    strategy = attrs.evolve(
        CYCLE, initial="mixed:alpha=2", postprocessors=("temporal:threshold=2", "uniform:size=3")
    )
    sampler = compose(strategy, pair())
    assert sampler.initial == MixedNoise(2.0)
    assert [type(each).__name__ for each in sampler.postprocessors] == [
        "TemporalSmoothing",
        "UniformSmoothing",
    ]
    assert not torch.equal(sampler(SHAPE, seeds=[0]), compose(CYCLE, pair())(SHAPE, seeds=[0]))


def test_a_part_may_be_a_choice_itself() -> None:
    strategy = attrs.evolve(
        CYCLE,
        solver="ddim:eta=1",
        experts={
            "a": ExpertStrategy(
                ("corrected:postprocessor=(uniform:size=3)",), "scaled:gamma=.5,inner=(mixed:alpha=1)"
            )
        },
    )
    strategy = Strategy.from_dict(strategy.to_dict())
    expert = compose(strategy, pair()).experts["a"]
    assert expert.noise == ScaledNoise(MixedNoise(1.0), 0.5)
    assert expert.denoiser.postprocessor.size == 3


WRONG: dict[str, tuple[dict[str, Any], type[JvidError], str]] = {
    "solver option": ({"solver": "ddim:eta=7"}, InputError, "eta=7"),
    "unknown postprocessor": ({"postprocessors": ("gausian",)}, UnknownNameError, "unknown postprocessor 'gausian': did you"),
    "steps twice": ({"grid": "leading:steps=3"}, InputError, "grid 'leading' got 'steps' among its options"),
    "selector's expert": ({"selector": "always:name=audio"}, InputError,
                          "selector 'always' names expert 'audio': expected those of ensemble 'two', a, b"),
    "selector of others": ({"selector": "boundary:experts=high+low,at=.5"}, InputError, "'boundary' names expert 'high'"),
    "paper's selector": ({"selector": "piecewise-affine:t_v=.2,t_e=.7,p_e=.3,p_f=.3"}, InputError, "names expert 'video'"),
    "strategy's expert": ({"experts": {"high": ExpertStrategy(())}}, InputError,
                          "the strategy names expert 'high': expected those of ensemble 'two', a, b"),
    "unknown wrapper": ({"experts": {"b": ExpertStrategy(("gided",))}}, UnknownNameError, "expert 'b': unknown wrapper 'gided'"),
    "wrapper option": ({"experts": {"b": ExpertStrategy(("guided:scale=2,lo=1",))}}, InputError,
                       "expert 'b': wrapper 'guided' has no option 'lo': it accepts"),
    "wrapper value": ({"experts": {"b": ExpertStrategy(("windowed:size=2,stride=3",))}}, InputError, "expert 'b': .*stride=3"),
    "wrapper's denoiser": ({"experts": {"b": ExpertStrategy(("guided:denoiser=a",))}}, InputError,
                           "expert 'b': wrapper 'guided' got 'denoiser' among its options"),
    "wrapper's expert": ({"experts": {"b": ExpertStrategy(("guided:against=early",))}}, InputError,
                         "expert 'b': wrapper 'guided' names expert 'early': expected one of a, b"),
    "own weaker model": ({"experts": {EVERY: ExpertStrategy(("guided:against=b",))}}, InputError,
                         "expert 'b': .*b cannot be its own weaker model"),
    "wrapper's part": ({"experts": {"b": ExpertStrategy(("corrected:postprocessor=tempral",))}}, UnknownNameError,
                       "expert 'b': wrapper 'corrected': unknown postprocessor 'tempral'"),
    "tensor": ({"experts": {"b": ExpertStrategy(("known:mask=m.safetensors,latents=z.safetensors",))}}, InputError,
               "expert 'b': .*mask='m.safetensors': No such file"),
    "unknown noise": ({"experts": {"a": ExpertStrategy(noise="shard:ratio=1")}}, UnknownNameError, "expert 'a': unknown noise"),
    "noise option": ({"experts": {"a": ExpertStrategy(noise="shared:ratio=3")}}, InputError, "expert 'a': .*ratio"),
    "unknown schedule": ({"schedule": "cosin"}, UnknownNameError, "unknown schedule 'cosin'"),
    "unknown first noise": ({"initial": "mixt"}, UnknownNameError, "unknown noise 'mixt'"),
    "windows": ({"overlap": SHAPE[1]}, InputError, f"overlap {SHAPE[1]}: a window has the ensemble's {SHAPE[1]} frames"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_line_before_a_network_is_built(case: str) -> None:
    changes, kind, words = WRONG[case]
    loaded: list[str] = []

    def network(name: str) -> Member:
        return Member(Deferred(lambda: loaded.append(name) or ORACLE))  # type: ignore[func-returns-value]

    ensemble = pair(a=network("a"), b=network("b"))
    strategy = attrs.evolve(CYCLE, **changes)
    with pytest.raises(kind, match=words) as caught:
        Composition(strategy, ensemble).sampler(SHAPE[1] + 1)
    assert "\n" not in str(caught.value)
    assert loaded == []
    if case != "windows":  # that depends on the clip
        with pytest.raises(kind, match=words):
            Composition(strategy, ensemble).check() if case not in ("selector of others",) else Composition(
                strategy, ensemble
            ).plan()


def test_experts_of_different_spaces_are_refused_by_name() -> None:
    @attrs.frozen
    class Placed:
        space: LatentSpace
        schedule: Any = SCHEDULE

        def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
            raise AssertionError("a network ran")

    here, there = (Placed(LatentSpace("AutoencoderKL", channels=4, scaling=s)) for s in (0.18215, 0.13025))
    ensemble = pair(a=Member(here), b=Member(there, "frames"))
    with pytest.raises(
        InputError, match=r"experts 'a' and 'b' do not share a latent space: Auto.* and Auto.*expected one"
    ) as caught:
        compose(CYCLE, ensemble)
    assert "\n" not in str(caught.value)
    # Only those that the selector may choose have to share one.
    compose(Strategy("always:name=b"), ensemble)


def test_a_selector_that_declares_no_experts_needs_an_ensemble() -> None:
    @hookimpl
    def jvid_register(register: Registrar) -> None:
        register.selector("coin", lambda: lambda step, u: {"a" if u < 0.5 else "b": 1.0})

    current().add(jvid_register, "tossed")
    strategy = attrs.evolve(CYCLE, selector="coin", steps=8)
    composition = Composition(strategy, pair())
    assert composition.experts == ("a", "b")
    assert set(composition.plan().counts) == {"a", "b"}
    with pytest.raises(InputError, match="selector 'coin' does not declare its experts: name an ensemble"):
        Composition(strategy).plan()


def test_a_strategy_alone_makes_no_sampler() -> None:
    for attempt in (lambda c: c.sampler(), lambda c: c.condition(["walk"])):
        with pytest.raises(
            InputError, match="a strategy without an ensemble: expected one whose experts it is for"
        ):
            attempt(Composition(CYCLE))


def test_a_solver_that_declares_nothing_may_draw_at_each_step() -> None:
    steps = Composition(CYCLE).plan().steps
    assert all(draws_noise(object(), step) for step in steps)
    assert not any(draws_noise(jvid.DDIM(), step) for step in steps)


@pytest.mark.parametrize("strategy", [
    Strategy("cycle:experts=painter", "ddim", steps=2, overlap=SHAPE[1]),
    Strategy("cycle:experts=cartoon", "ddim", steps=2, overlap=SHAPE[1],
             experts={"cartoon": ExpertStrategy([f"windowed:size={SHAPE[1]},stride=1"])}),
], ids=["frames alone", "windows of its own"])  # fmt: skip
def test_an_overlap_that_nothing_uses_is_not_refused(strategy: Strategy) -> None:
    """Experts of frames have no windows, and a stack with ``windowed`` has its own; the overlap may be any number."""
    ensemble = Ensemble({"painter": Member(ORACLE, "frames"), "cartoon": ORACLE}, SHAPE)
    c, f, h, w = SHAPE
    clip = compose(strategy, ensemble, frames=2 * f)((c, 2 * f, h, w), seeds=[0])
    assert clip.shape == (1, c, 2 * f, h, w)
    assert Composition(strategy, ensemble).outline(strategy.selector.options["experts"], 2 * f)
