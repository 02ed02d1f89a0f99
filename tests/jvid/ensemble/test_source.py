"""What a run loads its ensemble from: a name, a folder, experts composed on the spot; and one line where it cannot."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.core.conditions import PerExpert
from jvid.denoisers.framewise import Framewise
from jvid.ensemble import Ensemble, Source, compose
from jvid.ensemble.pixels import PixelCodec
from jvid.errors import InputError, JvidError, MissingDependencyError, UnknownNameError
from jvid.plugins import hookimpl
from jvid.plugins.registrar import Registrar
from jvid.plugins.registry import current
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.strategy import Strategy
from jvid.testing import GaussianOracle
from tests.toy import PROMPTS, SCHEDULE, SHAPE, STRATEGY, built, toy_ensemble

pytestmark = pytest.mark.usefixtures("toys")
A, B = "gaussian:mean=.5,std=.1,schedule=cosine", "two-modes:schedule=scaled-linear"


@pytest.fixture
def more() -> list[dict[str, Any]]:
    """A plugin with an ensemble of one expert, one of two names, encoders and a denoiser of frames; what was placed where."""
    placed: list[dict[str, Any]] = []

    def alone(device: str = "cpu", dtype: str = "float32") -> Ensemble:
        placed.append({"alone": (device, dtype)})
        return Ensemble({"only": GaussianOracle(FlowMatching())}, (1, 2, 3, 4), fps=24.0, codec=PixelCodec())

    def encoder(key: str) -> Any:
        return lambda: lambda prompts: {key: torch.tensor([[float(len(each))] for each in prompts])}

    class Frames(GaussianOracle):
        denoises = "frames"

    def frames(device: str = "cpu", mean: float = 0.0) -> Any:
        placed.append({"frames": device})
        return Frames(FlowMatching(), mean)

    @hookimpl
    def jvid_register(register: Registrar) -> None:
        register.ensemble("alone", alone)
        register.ensemble("broken", lambda: 1 / 0)
        register.ensemble("loop", lambda: Source(experts={"a": "round#a"}).load())
        register.ensemble("round", lambda: Source(experts={"a": "loop#a"}).load())
        register.text("lengths", encoder("text"))
        register.text("others", encoder("other"))
        register.denoiser("still", frames)

    @hookimpl
    def jvid_resolve(kind: str, name: str) -> Any:
        return (
            (lambda: GaussianOracle(FlowMatching(), 3.0))
            if (kind, name) == ("denoiser", "hub.model")
            else None
        )

    current().add(jvid_register, "more", "more 1.0")
    current().add(jvid_resolve, "hub")
    return placed


def test_a_name_alone_is_the_registered_ensemble() -> None:
    toy = Source("toy").load()
    assert (toy.name, toy.experts, toy.strategy) == ("toy", ("video", "image"), STRATEGY)
    assert built == []
    with pytest.raises(UnknownNameError, match="unknown ensemble 'tory': did you mean toy"):
        Source("tory").load()
    with pytest.raises(InputError, match="no option 'size'"):
        Source("toy:size=3").load()
    broken = Source("toy:broken=true").load()
    assert broken.denoiser("image").broken  # type: ignore[attr-defined]


def test_experts_are_composed_on_the_spot() -> None:
    source = Source(
        experts={"a": A, "b": B}, codec="pixels:scale=2", shape=(3, 4, 8, 8), fps=24, schedule="cosine"
    )
    ensemble = source.load()
    assert (ensemble.experts, ensemble.shape, ensemble.fps) == (("a", "b"), (3, 4, 8, 8), 24.0)
    assert ensemble.denoiser("a") == GaussianOracle(TabulatedSchedule.cosine(), 0.5, 0.1)
    assert (ensemble.schedule, ensemble.codec) == (TabulatedSchedule.cosine(), PixelCodec(2.0))
    assert (ensemble.prompts, ensemble.strategy, ensemble.condition(["any"])) == ((), None, {})
    clip = compose(Strategy("cycle:experts=a+b", "ddim", steps=4), ensemble)(ensemble.shape, seeds=[0])
    assert torch.isfinite(clip).all()
    # Without a schedule the reference is the first expert's; without a rate it is 8.
    bare = Source(experts={"b": B, "a": A}, shape=(3, 4, 8, 8)).load()
    assert (bare.schedule, bare.fps, bare.has_codec) == (TabulatedSchedule.scaled_linear(), 8.0, False)


def test_an_expert_of_an_ensemble_is_named_behind_a_sign(more: list[Any]) -> None:
    ensemble = Source(experts={"sharp": "toy#image", "still": "still:mean=.1", "far": "hub.model"}).load()
    assert ensemble.experts == ("sharp", "still", "far")
    assert ensemble.frame_experts == (
        "sharp",
        "still",
    )  # what it denoises comes along, or is the network's to declare
    assert isinstance(ensemble.clips("sharp"), Framewise)
    # What the whole needs comes from the first ensemble that an expert is of.
    assert (ensemble.shape, ensemble.fps, ensemble.prompts) == (SHAPE, 12.5, PROMPTS)
    assert ensemble.codec.decode(torch.zeros(1, *SHAPE)).shape == (1, 3, 5, 64, 64)
    assert ensemble.strategy is None
    cond = ensemble.condition(["a person waving"])
    assert isinstance(cond, PerExpert)  # the toy's encoder comes with its expert, the others take no prompt
    assert {name: set(each) for name, each in cond.conditions.items()} == {
        "sharp": {"text", "null"}, "still": set(), "far": set(),
    }  # fmt: skip


def test_an_ensemble_of_one_expert_or_of_that_name_needs_no_sign(more: list[Any]) -> None:
    ensemble = Source(experts={"video": "toy", "renamed": "alone"}, fps=12.5).load()
    assert ensemble.denoiser("renamed") == GaussianOracle(FlowMatching())
    assert ensemble.member("video").denoises == "clips"
    assert ensemble.shape == SHAPE  # of the first
    with pytest.raises(
        InputError, match="expert 'high': toy has the experts video, image: expected toy#EXPERT of one"
    ):
        Source(experts={"high": "toy"}).load()


def test_experts_of_another_frame_rate_are_refused(more: list[Any]) -> None:
    experts = {"video": "toy", "other": "alone", "still": "toy#image"}
    with pytest.raises(
        InputError,
        match=r"expert 'other' makes clips of 24 frames per second, beside 12\.5 of the first .* state the ensemble's",
    ):
        Source(experts=experts).load()
    assert Source(experts=experts, fps=24.0).load().fps == 24.0
    assert Source(experts={"video": "toy", "still": "toy#image"}).load().fps == 12.5


def test_experts_are_added_to_an_ensemble_or_take_the_place_of_its_own(more: list[Any]) -> None:
    ensemble = Source("toy", {"early": "gaussian:schedule=scaled-linear,std=2", "image": "still"}).load()
    assert ensemble.experts == ("video", "image", "early")
    assert ensemble.denoiser("early") == GaussianOracle(SCHEDULE, std=2.0)
    assert ensemble.denoiser("image").schedule == FlowMatching()
    assert (ensemble.schedule, ensemble.strategy, ensemble.prompts) == (SCHEDULE, STRATEGY, PROMPTS)
    changed = Source("toy", shape=(4, 7, 8, 8), fps=3.0, codec="pixels", schedule="cosine").load()
    assert (changed.shape, changed.fps, changed.codec) == ((4, 7, 8, 8), 3.0, PixelCodec())
    assert changed.schedule == TabulatedSchedule.cosine()
    assert changed.experts == ("video", "image")


def test_encoders_are_those_of_experts_or_of_each_that_has_none(more: list[Any]) -> None:
    source = Source("toy", {"a": A, "b": B}, {"*": "lengths", "b": "others"})
    ensemble = source.load()
    assert ensemble.shares_conditioner("video", "image")
    cond = ensemble.condition(["", ""])
    assert isinstance(cond, PerExpert)
    found = {name: sorted(set(each) - {"null"}) for name, each in cond.conditions.items()}
    assert found == {"video": ["text"], "image": ["text"], "a": ["text"], "b": ["other"]}
    assert "null" not in cond.conditions["a"]  # not the toy's own
    # One text for two experts is one encoder, which answers once.
    both = Source(experts={"a": A, "b": B}, text={"a": "lengths", "b": "lengths"}, shape=SHAPE).load()
    assert both.shares_conditioner("a", "b")
    # With an encoder of another kind the prompts are no closed set any more.
    assert ensemble.prompts == ()


def test_device_and_dtype_go_where_they_are_taken(more: list[Any]) -> None:
    ensemble = Source(experts={"a": "alone", "b": "still", "c": A}).load(device="meta", dtype="bfloat16")
    for name in ensemble.experts:
        ensemble.denoiser(name)
    assert more == [{"alone": ("meta", "bfloat16")}, {"frames": "meta"}]
    more.clear()
    Source(experts={"b": "still:device=cpu"}, shape=SHAPE).load(device="meta").denoiser("b")
    assert more == [{"frames": "cpu"}]


def test_a_denoiser_whose_kind_is_stated_loads_at_its_first_use(more: list[Any]) -> None:
    ensemble = Source(experts={"b": "still:denoises=clips"}, shape=SHAPE).load()
    assert more == []
    assert ensemble.frame_experts == ()
    ensemble.denoiser("b")
    assert more == [{"frames": "cpu"}]


WRONG: dict[str, tuple[dict[str, Any], type[JvidError], str]] = {
    "nothing": ({}, InputError, "no ensemble: expected the name of one, a folder, or experts"),
    "unknown": ({"experts": {"high": "wan/high"}}, UnknownNameError,
                "expert 'high': 'wan/high' is no folder of an ensemble or of a model, and no denoiser"),
    "unknown ensemble": ({"experts": {"high": "tory#video"}}, UnknownNameError, "expert 'high': unknown ensemble 'tory'"),
    "unknown expert": ({"experts": {"high": "toy#audio"}}, InputError,
                       "expert 'high': ensemble 'toy' has no expert 'audio': expected one of video, image"),
    "option": ({"experts": {"a": A, "b": "gaussian:schedule=cosine,deviation=3"}}, InputError,
               "expert 'b': denoiser 'gaussian' has no option 'deviation': it accepts schedule"),
    "value": ({"experts": {"a": "gaussian:schedule=cosine,std=-1"}}, InputError, "expert 'a': denoiser 'gaussian': .*std=-1"),
    "needed": ({"experts": {"a": "gaussian"}}, InputError, "expert 'a': denoiser 'gaussian' needs 'schedule'"),
    "part": ({"experts": {"a": "gaussian:schedule=cosin"}}, UnknownNameError, "expert 'a': .*unknown schedule 'cosin'"),
    "form": ({"experts": {"a": "gaussian:schedule"}}, InputError, "expert 'a': .*expected option=value"),
    "denoises": ({"experts": {"a": A + ",denoises=images"}}, InputError, "expert 'a': .*'images': expected 'clips' or 'frames'"),
    "no shape": ({"experts": {"a": A}, "shape": None}, InputError, "experts a come without a shape of clips: give --shape C"),
    "encoder's expert": ({"experts": {"a": A}, "text": {"b": "lengths"}}, InputError, "text for expert 'b': expected one of a"),
    "unknown encoder": ({"experts": {"a": A}, "text": {"*": "lengts"}}, UnknownNameError, "unknown text 'lengts'"),
    "unknown codec": ({"experts": {"a": A}, "codec": "pixel"}, UnknownNameError, "unknown codec 'pixel': did you mean pixels"),
    "unknown schedule": ({"experts": {"a": A}, "schedule": "cosin"}, UnknownNameError, "unknown schedule 'cosin'"),
    "name": ({"experts": {"a b": A}}, InputError, "expert 'a b' of ensemble .*: expected letters, digits"),
    "broken": ({"experts": {"a": "broken"}}, JvidError, "expert 'a': ensemble more/broken .* failed: ZeroDivisionError"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_load_is_one_line_that_names_the_expert(case: str, more: list[Any]) -> None:
    parts, kind, words = WRONG[case]
    with pytest.raises(kind, match=words) as caught:
        Source(**{"shape": SHAPE, **parts}).load()
    assert "\n" not in str(caught.value)
    assert built == []


names = st.from_regex(r"[a-z][a-z0-9._-]*", fullmatch=True)
texts = st.text(min_size=1, max_size=12)
sources = st.builds(
    Source,
    st.just("") | texts,
    st.dictionaries(names, texts, min_size=1, max_size=3),
    st.dictionaries(names | st.just("*"), texts, max_size=2),
    st.none() | texts,
    st.none() | st.tuples(*[st.integers(1, 99)] * 4),
    st.none() | st.floats(0.5, 99),
    st.none() | texts,
)


@given(sources)
def test_a_source_is_json_and_back(source: Source) -> None:
    assert Source.from_plain(json.loads(json.dumps(source.to_plain()))) == source
    assert pickle.loads(pickle.dumps(source)) == source
    assert hash(pickle.loads(pickle.dumps(source))) == hash(source)


def test_a_name_alone_is_text() -> None:
    assert Source("actions-64").to_plain() == str(Source("actions-64")) == "actions-64"
    assert Source.from_plain("actions-64") == Source("actions-64")
    both = Source("toy", {"high": A})
    assert Source.from_plain(both) is both
    assert both.to_plain() == {"name": "toy", "experts": {"high": A}}
    assert str(both) == f"toy, high={A}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "ensemble 3: expected a name, or an object with experts"), ("", "no ensemble"), ({}, "no ensemble"),
        ({"name": "toy", "expert": {}}, "ensemble: unknown key 'expert', expected name, experts, text"),
        ({"experts": ["a"]}, "ensemble.experts .* expected sources by expert"), ({"experts": {"a": 3}}, "ensemble.experts"),
        ({"name": "toy", "text": {"a": {}}}, "ensemble.text"), ({"name": "toy", "shape": "4,5"}, "ensemble.shape"),
        ({"name": "toy", "shape": [4, "x", 3, 3]}, "ensemble.shape"), ({"name": "toy", "fps": "fast"}, "ensemble.fps"),
        ({"name": 3}, "ensemble.name"), ({"name": "toy", "codec": {}}, "ensemble.codec"),
        ({"name": "toy", "fps": 0}, "ensemble.fps"),
    ],
)  # fmt: skip
def test_values_that_are_no_source_are_refused(value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Source.from_plain(value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_a_newer_format_is_one_line(tmp_path: Path) -> None:
    from jvid_models import plugin

    current().add(plugin, "models", "jvid test")
    folder = tmp_path / "mine"
    folder.mkdir()
    for document, words in (
        ({"format": 99}, "ensemble.json is of format 99: this version reads 1 to 4; update jvid"),
        ({"format": 2, "name": "mine"}, "ensemble.json lacks experts, decoder"),
    ):
        (folder / "ensemble.json").write_text(json.dumps(document))
        for source in (
            Source(str(folder)),
            Source("toy", {"high": str(folder)}),
            Source("toy", {"high": f"{folder}#video"}),
        ):
            with pytest.raises(InputError, match=words) as caught:
                source.load()
            assert "\n" not in str(caught.value)
            assert ("expert 'high': " in str(caught.value)) is bool(source.experts)
    with pytest.raises(UnknownNameError, match=r"expert 'high': .*nowhere' is no folder of an ensemble"):
        Source("toy", {"high": str(tmp_path / "nowhere")}).load()
    assert issubclass(MissingDependencyError, JvidError)
    assert toy_ensemble().folder is None


def test_an_ensemble_that_is_made_of_itself_is_one_line(more: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match=r"the ensemble of a=\w+#a is made of itself") as caught:
        Source("loop").load()
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
