"""Sets of clips: what is in them, how they grow, and what is reported where something is wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import jvid.core.run
from jvid.core.keyed import keyed_normal
from jvid.ensemble import Composition, compose
from jvid.errors import InputError, NonFiniteError
from jvid.media import write_video
from jvid.media.frames import to_frames
from jvid_training.generation import ClipSet, generate
from jvid_training.generation.files import batch_path
from jvid_training.generation.maker import Maker
from jvid_training.generation.sets import action_of
from jvid_training.generation.spec import Spec
from jvid_training.jobs.locks import Lock
from tests.generation_tools import content, stamps, tiny_ensemble
from tests.once import made_once
from tests.toy import PROMPTS, SHAPE, STRATEGY, encode, toy_ensemble


def toy(folder, num, **options):
    return generate(folder, num=num, ensemble="toy", loaded=toy_ensemble(), **options)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return made_once(tmp_path_factory, "tiny-ensemble", tiny_ensemble)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Seven clips in files of three."""
    return toy(tmp_path_factory.mktemp("sets") / "seven", 7, batch=3).folder


@pytest.fixture
def seven(finished, tmp_path):
    """The same, to be damaged."""
    return shutil.copytree(finished, tmp_path / "seven")


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_set_holds_what_its_request_has(tmp_path):
    made = toy(tmp_path / "set", 5, batch=2, seed=40)
    assert made.complete
    assert (len(made), made.made, made.name) == (5, 6, "set")
    assert (made.fps, made.frames, made.size) == (12.5, 5, (64, 64))
    assert made.labels == ("waving", "running", "waving", "running", "waving")
    # Each clip alone, by the library itself.
    ensemble = toy_ensemble()
    sampler = compose(STRATEGY, ensemble)
    frames, latents = np.concatenate(list(made.batches(2))), np.concatenate(list(made.latents_batches(4)))
    for i in range(5):
        cond = encode([PROMPTS[i % 2]])
        alone = sampler(SHAPE, seeds=[40 + i], cond=cond, plan=STRATEGY.plan_seed)
        assert np.array_equal(latents[i], alone[0].numpy())
        assert np.array_equal(frames[i], to_frames(ensemble.codec.decode(alone))[0])
        assert np.array_equal(made.clip(i), frames[i])
    plan = sampler.plan(STRATEGY.plan_seed)
    assert made.calls == {name: 3 * plan.counts[name] for name in ensemble.experts}
    assert all(made.seconds[name] > 0 for name in ensemble.experts if plan.counts[name])
    play = write_video(tmp_path / "clip.gif", made.clip(3), made.fps)
    assert play.stat().st_size > 0


def test_what_is_not_given(tmp_path):
    made = toy(tmp_path / "set", 10)
    assert made.spec.prompts == PROMPTS
    assert (made.spec.batch, made.spec.micro_batch, made.spec.threads) == (5, 5, 1)
    assert made.spec.strategy == STRATEGY
    assert toy(tmp_path / "set", 12).spec.batch == 5
    assert toy(tmp_path / "one", 1, batch=4, micro_batch=2).made == 4


@pytest.mark.parametrize("micro", [1, 2])
def test_clips_of_real_networks_are_the_same_in_any_batch(tmp_path, tiny, micro):
    sizes = {1: (1, 3), 2: (2, 4)}[micro]
    sets = [
        generate(tmp_path / str(batch), num=3, ensemble=str(tiny), batch=batch, micro_batch=micro)
        for batch in sizes
    ]
    assert len({content(made) for made in sets}) == 1
    assert len({made.fingerprint for made in sets}) == 1
    assert sets[0].calls["video"] > 0
    assert sets[0].calls["image"] > 0
    one, other = (toy(tmp_path / f"seed {seed}", 2, seed=seed) for seed in (0, 1))
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(("batch", "micro"), [(1, 1), (2, 2), (3, 1), (6, 6)])
def test_noise_and_plan_are_the_same_in_any_batch(tmp_path, monkeypatch, batch, micro):
    drawn = {}

    def recorded(seeds, key, shape, dtype=torch.float32, device="cpu"):
        noise = keyed_normal(seeds, key, shape, dtype, device)
        for seed, row in zip(seeds, noise, strict=True):
            assert (seed, key) not in drawn
            drawn[seed, key] = row
        return noise

    monkeypatch.setattr(jvid.core.run, "keyed_normal", recorded)
    made = toy(tmp_path / "set", 6, batch=batch, micro_batch=micro, seed=3)
    assert {seed for seed, _ in drawn} == set(range(3, 9))
    for (seed, key), row in drawn.items():
        assert torch.equal(row, keyed_normal([seed], key, SHAPE)[0])
    assert Maker(made.spec, toy_ensemble(), "cpu").plan == Composition(STRATEGY, toy_ensemble()).plan()


@pytest.mark.parametrize("num", [5, 6])
def test_a_set_grows_and_nothing_is_made_again(tmp_path, num):
    toy(tmp_path / "set", num, batch=2)
    before = stamps(tmp_path / "set")
    assert len(toy(tmp_path / "set", num, batch=2)) == num
    grown = toy(tmp_path / "set", 9)
    assert before.items() <= stamps(tmp_path / "set").items()
    assert content(grown) == content(toy(tmp_path / "whole", 9, batch=2))
    with pytest.raises(InputError, match="num 8: the set holds 9") as caught:
        toy(tmp_path / "set", 8)
    one_line(caught)


@pytest.mark.parametrize(
    ("change", "stated"),
    [
        ({"seed": 1}, "seed: 0 then, 1 now"),
        ({"batch": 4}, "batch: 3 then, 4 now"),
        ({"micro_batch": 1}, "micro_batch: 3 then, 1 now"),
        ({"threads": 2}, "threads: 1 then, 2 now"),
        ({"prompts": PROMPTS[:1]}, r"prompts: \["),
        ({"strategy": attrs.evolve(STRATEGY, steps=9)}, r"strategy\.steps: 8 then, 9 now"),
        ({"dtype": "bfloat16"}, "dtype: 'float32' then, 'bfloat16' now"),
    ],
)
def test_another_request_is_reported_by_name(seven, change, stated):
    before = stamps(seven)
    with pytest.raises(InputError, match=stated) as caught:
        toy(seven, 9, **change)
    assert "; give" not in one_line(caught)
    assert stamps(seven) == before
    assert Spec.load(seven).num == 7


def test_another_ensemble_and_other_versions_are_reported(tmp_path, tiny):
    generate(tmp_path / "set", num=1, ensemble=str(tiny))
    moved = shutil.copytree(tiny, tmp_path / "moved")
    assert len(generate(tmp_path / "set", num=2, ensemble=str(moved))) == 2
    (moved / "image.safetensors").write_bytes((moved / "image.safetensors").read_bytes()[:-2] + b"\0\1")
    with pytest.raises(InputError, match="ensemble_fingerprint"):
        generate(tmp_path / "set", num=2, ensemble=str(moved))
    path = tmp_path / "set" / "set.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"versions": values["versions"] | {"torch": "1.0"}}))
    with pytest.raises(InputError, match=r"versions\.torch: '1\.0' then"):
        generate(tmp_path / "set", num=2, ensemble=str(tiny))


def test_a_request_of_which_nothing_was_made_binds_no_later_one(tmp_path):
    with pytest.raises(InputError, match="unknown prompt 'a cat'"):
        toy(tmp_path / "set", 2, prompts=["a cat"])
    assert len(toy(tmp_path / "set", 2, prompts=PROMPTS[1:])) == 2


def test_an_incomplete_set_states_what_it_lacks(seven):
    batch_path(seven, 1).unlink()
    part = ClipSet.open(seven)
    assert (part.missing(), part.complete) == ([1], False)
    assert part.clip(6).shape == (5, 64, 64, 3)
    for use in (lambda: part.fingerprint, lambda: next(part.batches()), lambda: part.clip(3)):
        with pytest.raises(InputError, match="lacks 1 of its 3 batches") as caught:
            use()
        one_line(caught)
    with pytest.raises(InputError, match="expected 0 to 6"):
        part.clip(7)
    assert toy(seven, 7).complete


def damages():
    def shorter(path):
        path.write_bytes(path.read_bytes()[:-1000])

    def longer(path):
        path.write_bytes(path.read_bytes() + b"\0")

    def empty(path):
        path.write_bytes(b"")

    def another(path):
        path.write_bytes(batch_path(path.parent, 0).read_bytes())

    def recorded(**changes):
        def change(path):
            with safe_open(path, "np") as file:
                record = json.loads(file.metadata()["jvid"])
            tensors = load_file(path)
            record |= changes
            save_file(
                tensors,
                path,
                {"jvid": json.dumps({key: value for key, value in record.items() if value is not None})},
            )

        change.__name__ = f"recorded_{'_'.join(changes)}_{len(str(changes))}"
        return change

    records = [
        {"decoding": None},
        {"decoding": "long"},
        {"seconds": {"video": float("nan")}},
        {"calls": [2]},
        {"calls": {"video": -1}},
    ]
    return [shorter, longer, empty, another, *(recorded(**changes) for changes in records)]


@pytest.mark.parametrize("damage", damages(), ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_found_on_opening(seven, damage):
    damage(batch_path(seven, 1))
    for use in (lambda: ClipSet.open(seven), lambda: toy(seven, 7)):
        with pytest.raises(InputError, match=r"batch-00000001\.safetensors is damaged") as caught:
            use()
        one_line(caught)
    batch_path(seven, 1).unlink()
    assert toy(seven, 7).complete


def test_a_flipped_bit_is_found_on_reading(seven):
    path = batch_path(seven, 1)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1  # the frames stand last, because bytes need no alignment
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"batch-00000001\.safetensors is damaged \(the frames of its clip"):
        list(ClipSet.open(seven).batches())


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 1}', '{"format": 1, "strategy": {}}'])
def test_a_damaged_description_is_reported(seven, text):
    (seven / "set.json").write_text(text)
    with pytest.raises(
        InputError, match=r"set\.json( is damaged| is not JSON| holds a JSON list|: no key)"
    ) as caught:
        ClipSet.open(seven)
    one_line(caught)
    with pytest.raises(InputError, match="no set of clips"):
        ClipSet.open(seven / "nowhere")


def test_a_second_run_is_refused(seven):
    with Lock(seven, alone=True) as lock:
        with pytest.raises(InputError, match=rf"another run \(process {os.getpid()}\)") as caught:
            toy(seven, 7)
        one_line(caught)
        with pytest.raises(InputError, match="another run"), Lock(seven, alone=False):
            pass
        lock.share()
        with Lock(seven, alone=False), pytest.raises(InputError, match="another run"):
            toy(seven, 7)
    assert toy(seven, 7).complete


@attrs.frozen
class Sick:
    """A denoiser that fails for one prompt."""

    inner: object

    @property
    def schedule(self):
        return self.inner.schedule

    def __call__(self, x, t, cond):
        sick = (cond["text"].mean(dim=(1, 2)) > 0.5).reshape(-1, 1, 1, 1, 1)
        return torch.where(sick & (t < 0.3), torch.nan, self.inner(x, t, cond))


def test_nan_is_reported_with_its_clip_and_finished_work_stays(tmp_path):
    prompts = [PROMPTS[0]] * 5 + [PROMPTS[1]]
    with pytest.raises(NonFiniteError, match=r"clip 5 \('a person running', seed 105\): expert") as caught:
        generate(
            tmp_path / "set", num=8, ensemble="toy", loaded=toy_ensemble(wrap=Sick), prompts=prompts, batch=4,
            micro_batch=2, seed=100,
        )  # fmt: skip
    one_line(caught)
    assert ClipSet.open(tmp_path / "set").missing() == [1]


def test_a_full_disk_is_reported_and_finished_work_stays(tmp_path, monkeypatch):
    whole = content(toy(tmp_path / "whole", 6, batch=2))
    real, count = os.fsync, []

    def full(handle):
        count.append(handle)
        if len(count) == 5:  # the description, a file, the folder after each, then the next file
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device; free the space") as caught:
        toy(tmp_path / "set", 6, batch=2)
    one_line(caught)
    monkeypatch.undo()
    before = stamps(tmp_path / "set")
    assert list(before) == ["batch-00000000.safetensors"]
    assert not list((tmp_path / "set").glob("*.part*"))
    assert content(toy(tmp_path / "set", 6)) == whole
    assert before.items() <= stamps(tmp_path / "set").items()


def test_folders_and_values_that_will_not_do(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="cannot be made") as caught:
            toy(folder, 1)
        one_line(caught)
    with pytest.raises(InputError, match=r"micro-batch 3 in a batch of 4: .* such as 6"):
        toy(tmp_path / "set", 4, batch=4, micro_batch=3)
    with pytest.raises(InputError, match="num 0"):
        toy(tmp_path / "set", 0, batch=1)
    with pytest.raises(InputError, match="0 clips in batches of 8: expected 1 or more"):
        toy(tmp_path / "set", 0)
    with pytest.raises(InputError, match="processes 0"):
        toy(tmp_path / "set", 1, processes=0)


def test_what_a_killed_run_left_is_removed(seven):
    left = seven / ".batch-00000007.123.part.safetensors"
    left.write_bytes(b"half")
    own = seven / "notes.txt"
    own.write_text("mine")
    toy(seven, 7)
    assert not left.exists()
    assert own.exists()


@given(size=st.integers(1, 12))
def test_reading_in_any_size_gives_the_same_clips(finished, size):
    made = ClipSet.open(finished)
    parts = list(made.batches(size))
    assert [len(part) for part in parts] == [size] * (7 // size) + [7 % size] * bool(7 % size)
    assert np.array_equal(np.concatenate(parts), np.stack([made.clip(i) for i in range(7)]))


def test_progress_never_falls_and_ends_at_all(tmp_path):
    stated = []
    toy(tmp_path / "set", 5, batch=2, progress=stated.append)
    clips = [progress.clips for progress in stated]
    assert clips == sorted(clips)
    assert (clips[0], clips[-1], stated[-1].left) == (0, 5, 0)
    again = []
    toy(tmp_path / "set", 7, progress=again.append)
    assert again[0].clips == 6


@pytest.mark.parametrize(
    ("prompt", "action"),
    [
        ("A person waving two hands", "waving two hands"),
        ("a human running", "running"),
        ("Someone jumping in place", "jumping in place"),
        ("running", "running"),
        ("", ""),
    ],
)
def test_the_action_of_a_prompt(prompt, action):
    assert action_of(prompt) == action
