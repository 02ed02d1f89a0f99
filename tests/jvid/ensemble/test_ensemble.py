"""An ensemble: named experts, each loaded at its first use, each with its own condition of the same prompts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import jvid
from jvid.core.conditions import PerExpert
from jvid.denoisers.framewise import Framewise
from jvid.ensemble import Deferred, Ensemble, Member
from jvid.ensemble.deferred import made
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing import GaussianOracle
from tests.toy import PROMPTS, SCHEDULE, SHAPE, built, encode, toy_ensemble

pytestmark = pytest.mark.usefixtures("toys")
ORACLE = GaussianOracle(FlowMatching())


def encoder(name: str, known: tuple[str, ...] | None = None) -> Callable[[Any], dict[str, Tensor]]:
    """An encoder of its own: lengths of prompts under a key of its name. ``calls`` are the batches that it was given."""
    calls: list[list[str]] = []

    def encoded(prompts: list[str]) -> dict[str, Tensor]:
        calls.append(prompts)
        if known is not None and (unknown := [each for each in prompts if each not in known]):
            raise InputError(f"unknown prompt {unknown[0]!r}: expected one of {', '.join(known)}")
        text = torch.tensor([[float(len(each))] for each in prompts])
        return {name: text, "null": {name: torch.zeros_like(text)}}  # type: ignore[dict-item]

    encoded.calls = calls  # type: ignore[attr-defined]
    return encoded  # type: ignore[return-value]


def test_a_value_is_made_once_whichever_caller_is_first() -> None:
    calls: list[int] = []
    gate = threading.Barrier(4)

    def make() -> object:
        calls.append(1)
        return object()

    deferred: Deferred[object] = Deferred(make)
    assert repr(deferred) == "Deferred(not made yet)"
    found: list[object] = []

    def ask() -> None:
        gate.wait()
        found.append(deferred())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(calls), len(set(map(id, found)))) == (1, 1)
    assert made(deferred) is found[0]
    assert made(3) == 3


def test_a_value_that_could_not_be_made_is_tried_again() -> None:
    answers = iter([InputError("no weights"), 7])

    def make() -> int:
        answer = next(answers)
        if isinstance(answer, InputError):
            raise answer
        return answer

    deferred = Deferred(make)
    with pytest.raises(InputError, match="no weights"):
        deferred()
    assert (deferred(), deferred()) == (7, 7)


def test_experts_load_at_their_first_use_and_once() -> None:
    toy = toy_ensemble()
    assert (toy.experts, toy.frame_experts) == (("video", "image"), ("image",))
    assert (toy.shape, toy.fps, toy.prompts, toy.schedule) == (SHAPE, 12.5, PROMPTS, SCHEDULE)
    assert "video" in repr(toy)
    toy.latents(9), toy.condition(PROMPTS), toy.has_codec, toy.space
    assert built == []
    video = toy.denoiser("video")
    assert toy.denoiser("video") is video
    assert toy.clips("video") is video  # it denoises clips as it is
    assert built == ["video"]
    lifted = toy.clips("image")
    assert isinstance(lifted, Framewise)
    assert toy.clips("image") is lifted  # one object, whose memory a run finds again
    assert built == ["video", "image"]
    assert toy.codec is toy.codec
    assert built == ["video", "image", "codec"]


def test_members_may_be_denoisers_alone() -> None:
    ensemble = Ensemble({"a": ORACLE, "b": Member(Deferred(lambda: ORACLE), "frames")}, [1, 2, 3, 4])
    assert ensemble.denoiser("a") is ensemble.clips("a") is ORACLE
    assert (ensemble.member("a").denoises, ensemble.member("a").conditioner) == ("clips", None)
    assert (ensemble.shape, ensemble.fps, ensemble.strategy, ensemble.folder) == (
        (1, 2, 3, 4),
        8.0,
        None,
        None,
    )
    assert ensemble.schedule == FlowMatching()  # the first expert's, where none is given
    assert ensemble.condition(["anything"]) == {}
    assert isinstance(ensemble.clips("b"), Framewise)


def test_the_reference_schedule_may_be_another() -> None:
    given = Ensemble({"a": ORACLE}, SHAPE, schedule=Deferred(TabulatedSchedule.cosine))
    assert given.schedule == TabulatedSchedule.cosine()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"members": {}}, "ensemble 'toy' has no experts"), ({"members": {"a b": ORACLE}}, "expert 'a b' of ensemble 'toy'"),
        ({"members": {"": ORACLE}}, "expert ''"), ({"members": {"a=b": ORACLE}}, "expert 'a=b'"),
        ({"members": {3: ORACLE}}, "expert 3"), ({"shape": (4, 5, 8)}, r"shape \(4, 5, 8\) of ensemble 'toy'"),
        ({"shape": (4, 0, 8, 8)}, "expected .channels, frames, height, width"), ({"shape": (4, 5.0, 8, 8)}, "shape"),
    ],
)  # fmt: skip
def test_what_is_no_ensemble_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Ensemble(**{"members": {"a": ORACLE}, "shape": SHAPE, "name": "toy", **options})


def test_a_member_denoises_clips_or_frames() -> None:
    with pytest.raises(InputError, match="denoises 'images': expected 'clips' or 'frames'"):
        Member(ORACLE, "images")  # type: ignore[arg-type]
    assert [str(choice) for choice in Member(ORACLE, wrappers=["guided:scale=2"]).wrappers] == [
        "guided:scale=2"
    ]


def test_what_an_ensemble_lacks_is_one_line() -> None:
    toy = toy_ensemble()
    with pytest.raises(
        InputError, match="ensemble 'toy' has no expert 'audio': expected one of video, image"
    ):
        toy.member("audio")
    with pytest.raises(
        InputError, match="the plan names expert 'audio': expected those of ensemble 'toy', video, image"
    ):
        toy.check_expert_names(["video", "audio"], "the plan")
    with pytest.raises(InputError, match=r"ensemble 'bare' has no codec: keep latents \(.safetensors\)"):
        _ = Ensemble({"a": ORACLE}, SHAPE, name="bare").codec


def test_experts_that_share_an_encoder_share_its_answer() -> None:
    toy = toy_ensemble()
    assert toy.shares_conditioner("video", "image")
    cond = toy.condition(PROMPTS)
    assert not isinstance(cond, PerExpert)
    assert torch.equal(cond["text"], encode(PROMPTS)["text"])


def two_encoders(**known: tuple[str, ...]) -> Ensemble:
    """Experts a and b of one encoder, c of another, d without any."""
    one, other = (encoder(name, known.get(name)) for name in ("one", "other"))
    members = {"a": Member(ORACLE, conditioner=one), "b": Member(ORACLE, conditioner=one),
               "c": Member(ORACLE, conditioner=Deferred(lambda: other)), "d": Member(ORACLE)}  # fmt: skip
    return Ensemble(members, SHAPE, name="quartet")


def test_each_expert_gets_its_own_embedding_of_the_same_prompts() -> None:
    ensemble = two_encoders()
    cond = ensemble.condition(["walk", "run"])
    assert isinstance(cond, PerExpert)
    found = {name: {key for key in cond.conditions[name] if key != "null"} for name in "abcd"}
    assert found == {"a": {"one"}, "b": {"one"}, "c": {"other"}, "d": set()}
    assert cond.conditions["c"]["other"].flatten().tolist() == [4.0, 3.0]
    # An encoder that several experts have is evaluated once.
    assert ensemble.member("a").conditioner.calls == [["walk", "run"]]  # type: ignore[union-attr]
    assert cond.conditions["a"]["one"] is cond.conditions["b"]["one"]
    # Of the experts that are needed, those of one encoder have one condition.
    both = ensemble.condition(["walk"], ["a", "b"])
    assert not isinstance(both, PerExpert)
    assert made(ensemble.member("c").conditioner).calls == [["walk", "run"]]


def test_a_borrowed_expert_brings_its_own_condition() -> None:
    ensemble = two_encoders()
    cond = ensemble.condition(["walk"], ["a"], {"a": ["c", "b"]})
    assert isinstance(cond, PerExpert)
    assert set(cond.conditions) == {"a"}
    # b shares a's encoder, so a's own condition is b's; nobody asks c without a prompt.
    assert set(cond.conditions["a"]) == {"one", "null", "borrowed"}
    assert {name: set(each) for name, each in cond.conditions["a"]["borrowed"].items()} == {"c": {"other"}}
    assert not isinstance(ensemble.condition(["walk"], ["a"], {"a": ["b"]}), PerExpert)


def test_a_prompt_that_one_expert_does_not_know_names_it() -> None:
    ensemble = two_encoders(other=("walk",))
    with pytest.raises(InputError, match="expert 'c': unknown prompt 'run': expected one of walk") as caught:
        ensemble.condition(["walk", "run"])
    assert "\n" not in str(caught.value)
    ensemble.condition(["walk", "run"], ["a", "b", "d"])  # who is not asked need not know
    # Where all have one encoder, there is no expert to name.
    with pytest.raises(InputError, match=r"^unknown prompt 'fly'"):
        toy_ensemble().condition(["fly"])


def test_the_toy_is_registered() -> None:
    toy = jvid.load("ensemble", "toy", dtype="bfloat16")
    assert isinstance(toy, Ensemble)
    assert toy.name == "toy"
