"""Prompts of a file: one a line, or JSON lines with a seed each; and what is neither in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.cli import main
from jvid.cli.prompts import clips_of, read_prompts
from jvid.errors import InputError
from jvid.media import read_latents, read_metadata
from jvid.pipeline.record import Clip
from tests.toy import built

pytestmark = pytest.mark.usefixtures("toys")
WAVE, RUN = "a person waving", "a person running"


def sample(*args: str) -> int:
    return main(["sample", "--ensemble", "toy", *args])


def test_lines_are_prompts() -> None:
    Path("lines.txt").write_text(f"\ufeff{WAVE}\n\n  {RUN}  \r\n", encoding="utf-8")
    assert sample("--prompts", "lines.txt", "--num", "2", "--seed", "5", "-o", "a.safetensors") == 0
    assert sample(WAVE, RUN, "--num", "2", "--seed", "5", "-o", "b.safetensors") == 0
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
    assert [tuple(clip.values()) for clip in read_metadata("a.safetensors")["clips"]] == [
        (WAVE, 5), (WAVE, 6), (RUN, 5), (RUN, 6),
    ]  # fmt: skip


def test_json_lines_have_seeds_of_their_own() -> None:
    lines = [{"prompt": RUN, "seed": 9}, {"prompt": WAVE}, {"seed": 2**70, "prompt": WAVE}]
    Path("lines.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert sample("--prompts", "lines.jsonl", "-o", "a.safetensors", "-o", "a.gif") == 0
    assert [tuple(clip.values()) for clip in read_metadata("a.safetensors")["clips"]] == [
        (RUN, 9), (WAVE, 0), (WAVE, 2**70),
    ]  # fmt: skip
    assert sorted(path.name for path in Path().glob("*.gif")) == ["a-0.gif", "a-1.gif", "a-2.gif"]
    assert sample(RUN, "--seed", "9", "-o", "b.safetensors") == 0
    assert torch.equal(read_latents("a.safetensors")[:1], read_latents("b.safetensors"))
    # Back from one of its clips, as from any other.
    assert main(["sample", "--again", "a-0.gif", "-o", "c.safetensors"]) == 0
    assert torch.equal(read_latents("c.safetensors"), read_latents("b.safetensors"))


def test_the_two_forms_may_be_mixed_and_clips_of_a_line_have_consecutive_seeds() -> None:
    Path("mixed").write_text(f'{{"prompt": " {RUN} ", "seed": 4}}\n{WAVE}\n')
    assert read_prompts(Path("mixed")) == [(RUN, 4), (WAVE, None)]
    assert clips_of(None, Path("mixed"), 2, None, False) == (
        Clip(RUN, 4),
        Clip(RUN, 5),
        Clip(WAVE, 0),
        Clip(WAVE, 1),
    )


lines = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1, max_size=20
).filter(lambda text: bool(text.strip()) and not text.lstrip().startswith(("{", "\ufeff")))


@given(st.lists(st.tuples(lines, st.none() | st.integers(0, 2**70)), min_size=1, max_size=5), st.booleans())
def test_any_prompts_survive(prompts: list[tuple[str, int | None]], ascii_alone: bool) -> None:
    path = Path("any.jsonl")
    written = [{"prompt": prompt} | ({} if seed is None else {"seed": seed}) for prompt, seed in prompts]
    path.write_text(
        "\n".join(json.dumps(each, ensure_ascii=ascii_alone) for each in written), encoding="utf-8"
    )
    assert read_prompts(path) == [(prompt.strip(), seed) for prompt, seed in prompts]
    path.write_text("\n".join(prompt for prompt, _ in prompts), encoding="utf-8")
    assert read_prompts(path) == [(prompt.strip(), None) for prompt, _ in prompts]


WRONG: dict[str, tuple[bytes | None, list[str], str]] = {
    "absent": (None, [], "--prompts 'lines': No such file or directory; expected a file of prompts"),
    "empty": (b"\n \n", [], "--prompts 'lines' holds no prompt: expected one a line"),
    "no text": (b"\xff\xfe\x00", [], "--prompts 'lines' is not UTF-8 text: expected one prompt a line"),
    "no JSON": (b'a person waving\n{"prompt": "x"', [], "--prompts 'lines', line 2: no JSON"),
    "deep": (b'{"a":' * 100_000, [], "line 1: no JSON"),
    "no prompt": (b'{"seed": 3}', [], "line 1: got {\"seed\": 3}, expected the keys prompt and seed alone"),
    "empty prompt": (b'{"prompt": " "}', [], "expected the keys prompt and seed"),
    "other key": (b'{"prompt": "x", "sede": 3}', [], "expected the keys prompt and seed alone"),
    "prompt": (b'{"prompt": 3}', [], "expected the keys"),
    "seed": (b'{"prompt": "x", "seed": -1}', [], "seed -1, expected a whole"),
    "seed of text": (b'{"prompt": "x", "seed": "3"}', [], "seed '3', expected"),
    "true": (b'{"prompt": "x", "seed": true}', [], "seed True, expected"),
    "unknown prompt": (b"a person waving\na person flying\n", [], "unknown prompt 'a person flying'"),
    "beside a prompt": (b"a person waving", ["a person waving"], "a prompt, 'a person waving', beside --prompts"),
    "beside --unconditional": (b"a person waving", ["--unconditional"], "--prompts beside --unconditional: leave one out"),
    "seeds twice": (b'{"prompt": "a person waving", "seed": 3}', ["--seed", "4"], "--seed beside --prompts 'lines', whose lines"),
    "beside --again": (b"a person waving", ["--again", "a.mp4"], "--prompts beside --again: the file states it"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_file_of_prompts_is_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, args, words = WRONG[case]
    if content is not None:
        Path("lines").write_bytes(content)
    assert sample("--prompts", "lines", *args, "-o", "a.gif") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("jvid: error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert not Path("a.gif").exists()
    assert built == []


def test_without_any_prompt_the_remedies_are_named() -> None:
    with pytest.raises(
        InputError, match=r"no prompt: expected at least one, .* --prompts FILE, or --unconditional"
    ):
        clips_of(None, None, None, None, False)
