"""Many clips at once on the command line: how many, within which memory, and the same again from a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jvid.cli import main
from jvid.ensemble import Source
from jvid.errors import InputError
from jvid.machine import memory
from jvid.media import read_latents, read_metadata
from jvid.pipeline import batches as cli_batches
from jvid.pipeline.record import BatchRecord, Clip, Record, part_of
from jvid.plugins.registry import using
from tests import toy
from tests.toy import toy_registry

WAVE, RUN = toy.PROMPTS
STEPS = 3


@pytest.fixture(autouse=True)
def sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """An ensemble whose last bits depend on the batch, as those of real networks do; the clips of each call."""
    seen: list[int] = []
    usual = toy.Conditional.__call__

    def call(self: toy.Conditional, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        # Guidance asks for both halves at once.
        seen.append(len(x) // 2)
        return usual(self, x, t, cond) * (1.0 + 1e-6 * len(x))

    monkeypatch.setattr(toy.Conditional, "__call__", call)
    monkeypatch.chdir(tmp_path)
    with using(toy_registry()):
        yield seen


def sample(*args: str) -> int:
    return main(
        ["sample", *args, "--steps", str(STEPS), "--selector", "always:name=video", "--ensemble", "toy"]
    )


def again(*args: str) -> int:
    return main(["sample", "--again", *args])


def clip_takes(monkeypatch: pytest.MonkeyPatch, clip: int, free: int, held: int) -> None:
    """Known figures in place of this machine's."""
    monkeypatch.setattr("jvid.pipeline.make.bytes_per_clip", lambda *args: clip)
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    monkeypatch.setattr(memory, "held_bytes", lambda device: held)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [4, 3]),  # half of 1 GB holds 5; two batches are needed, and they are even
        (["--batch", "auto"], [4, 3]),
        (["--memory", ".35"], [3, 2, 2]),
        (["--memory", "1200MB"], [7]),  # for the process: 500 MB are taken
        (["--memory", "800MB"], [3, 2, 2]),
        (["--memory", "0.05"], [1] * 7),
        (["--batch", "5"], [5, 2]),
        (["--batch", "1"], [1] * 7),
    ],
)
def test_batches_are_as_large_as_the_memory_allows(
    options: list[str], expected: list[int], sizes: list[int], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    clip_takes(monkeypatch, clip=100_000_000, free=10**9, held=500_000_000)
    assert sample(WAVE, "--num", "7", "-o", "a.safetensors", *options) == 0
    assert sizes == [size for size in expected for _ in range(STEPS)]
    printed = capsys.readouterr()
    assert printed.err == ""  # no terminal
    assert ("at once" in printed.out) is (max(expected) > 1)
    if max(expected) > 1:
        assert f"7 clips, seeds 0 to 6, plan seed 0, {max(expected)} at once\n" in printed.out


def test_the_measurement_runs_for_several_clips_and_not_for_one(sizes: list[int]) -> None:
    assert sample(WAVE, "-o", "a.safetensors") == 0
    assert sizes == [1] * STEPS
    sizes.clear()
    assert sample(WAVE, RUN, "-o", "b.safetensors") == 0
    assert sizes == [1, *[2] * STEPS]  # both fit on any machine


def test_a_terminal_shows_what_was_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_batches.sys.stderr, "isatty", lambda: True, raising=False)
    clip_takes(monkeypatch, clip=100_000_000, free=700_000_000, held=5)
    assert sample(WAVE, "--num", "5", "-o", "a.safetensors") == 0
    assert "jvid: at most 3 clips at once: one takes 100 MB, 350 MB may be taken\n" in capsys.readouterr().err


def test_a_bound_that_holds_no_clip_is_refused(
    sizes: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip_takes(monkeypatch, clip=100_000_000, free=10**9, held=500_000_000)
    assert sample(WAVE, "--memory", "599MB", "-o", "a.safetensors") == 2
    printed = capsys.readouterr().err
    assert printed == (
        "jvid: error: --memory of 599 MB: 500 MB are taken already and a clip takes 100 MB; "
        "expected at least 600 MB\n"
    )
    assert (sizes, list(Path().iterdir())) == ([], [])
    assert sample(WAVE, "--memory", "600MB", "-o", "a.safetensors") == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch", "0"], "--batch '0': expected a number of clips, 1 or more, or auto"),
        (["--batch", "some"], "--batch 'some'"),
        (["--batch", "2", "--memory", "1GB"], "--memory beside --batch 2"),
        (["--memory", "2"], "--memory '2': expected bytes with a unit as 2GB"),
    ],
)
def test_a_wrong_option_is_one_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(WAVE, *options, "-o", "a.safetensors") == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_one_clip_of_a_batch_again_is_the_same_bit_for_bit(
    sizes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(WAVE, RUN, "--num", "2", "--batch", "3", "-o", "a.safetensors", "-o", "a.gif") == 0
    whole = read_latents("a.safetensors")
    stated = read_metadata("a-1.gif")
    assert stated["clips"] == [{"prompt": WAVE, "seed": 1}]
    three = [{"prompt": WAVE, "seed": 0}, {"prompt": WAVE, "seed": 1}, {"prompt": RUN, "seed": 0}]
    assert stated["batches"] == [{"clips": three, "rows": [1]}]
    assert read_metadata("a-3.gif")["batches"] is None  # it was computed alone
    capsys.readouterr()
    for i, size in enumerate([3, 3, 3, 1]):
        sizes.clear()
        assert again(f"a-{i}.gif", "-o", "b.safetensors", "-o", "b.gif") == 0
        assert capsys.readouterr().err == ""
        assert sizes == [size] * STEPS
        assert torch.equal(read_latents("b.safetensors"), whole[i : i + 1])
        assert Path("b.gif").read_bytes() == Path(f"a-{i}.gif").read_bytes()
    sizes.clear()
    assert again("a.safetensors", "-o", "b.safetensors") == 0
    assert sizes == [3] * STEPS + [1] * STEPS
    assert Path("b.safetensors").read_bytes() == Path("a.safetensors").read_bytes()


def test_again_in_other_batches_states_that_bits_may_differ(
    sizes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(WAVE, "--num", "3", "--batch", "3", "-o", "a.safetensors", "-o", "a.gif") == 0
    capsys.readouterr()
    sizes.clear()
    assert again("a-2.gif", "--batch", "1", "-o", "b.safetensors") == 0
    assert sizes == [1] * STEPS
    printed = capsys.readouterr().err
    assert printed.startswith("jvid: warning: clips computed in other batches than the file's")
    assert printed.count("\n") == 1
    whole, alone = read_latents("a.safetensors")[2:], read_latents("b.safetensors")
    assert not torch.equal(alone, whole)
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-3)
    # What was made alone repeats alone, and saying the file's own batches is no other.
    for file, *options in (["b.safetensors"], ["a.safetensors", "--batch", "3"]):
        assert again(file, *options, "-o", "c.safetensors") == 0
        assert capsys.readouterr().err == ""
        assert torch.equal(read_latents("c.safetensors"), read_latents(file))


def test_again_warns_of_other_threads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(WAVE, "-o", "a.gif") == 0
    assert read_metadata("a.gif")["threads"] == torch.get_num_threads() == 1
    capsys.readouterr()
    try:
        assert again("a.gif", "--threads", "2", "-o", "b.gif") == 0
    finally:
        torch.set_num_threads(1)
    assert capsys.readouterr().err == "jvid: warning: 1 threads then, 2 now: the last bits may differ\n"
    assert read_metadata("b.gif")["threads"] == 2


CLIPS = st.builds(Clip, st.sampled_from([None, WAVE, RUN]), st.integers(0, 3))
BATCHES = st.lists(st.lists(CLIPS, min_size=1, max_size=5).map(BatchRecord.whole), min_size=1, max_size=5)


@given(batches=BATCHES, data=st.data())
def test_a_part_of_a_record_has_all_of_its_batches(batches: list[BatchRecord], data: st.DataObject) -> None:
    clips = tuple(clip for batch in batches for clip in batch.clips)
    start = data.draw(st.integers(0, len(clips) - 1))
    part = slice(start, data.draw(st.integers(start + 1, len(clips))))
    found = part_of(batches, part)
    assert tuple(clip for batch in found for clip in batch.wanted) == clips[part]
    assert {batch.clips for batch in found} <= {batch.clips for batch in batches}
    record = Record(Source("toy"), clips, toy.STRATEGY, batches=tuple(batches))
    read = Record.read(record.of(part, 12.5))
    assert read.clips == clips[part]
    assert read.shared() == tuple(found)


def test_a_story_whose_batches_do_not_hold_its_clips_is_refused() -> None:
    both = BatchRecord((Clip(WAVE, 0), Clip(WAVE, 1)), (1,))
    record = Record(Source("toy"), (Clip(WAVE, 1),), toy.STRATEGY, batches=(both,))
    stated = record.of(slice(0, 1), 12.5)
    assert Record.read(stated) == attrs.evolve(record, versions=stated["versions"])
    for rows in ([0], [2], [], [-1], ["a"], None):
        with pytest.raises(InputError, match="expected a jvid file"):
            Record.read({**stated, "batches": [{**stated["batches"][0], "rows": rows}]})
    old = {key: value for key, value in stated.items() if key not in ("batches", "threads")}
    assert Record.read(old).batches == ()
