"""The memory that a run may take: bounds as they are written, and what the system reports as free."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid.errors import InputError
from jvid.machine.memory import MemoryLimit, format_bytes, free_bytes
from tests.installed import run
from tests.jvid.machine.test_cores import GIB, SECOND, write

WRITTEN = {
    "2GB": MemoryLimit(2 * 10**9), "2 gb": MemoryLimit(2 * 10**9), "1.5GiB": MemoryLimit(3 << 29),
    "800M": MemoryLimit(800 * 10**6), "12B": MemoryLimit(12), ".5": MemoryLimit(share=0.5),
    "1": MemoryLimit(share=1.0), "30%": MemoryLimit(share=0.3), "100 %": MemoryLimit(share=1.0),
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_a_bound_is_written_as_bytes_or_as_a_share(text: str) -> None:
    assert MemoryLimit.parse(text) == WRITTEN[text]


@pytest.mark.parametrize(
    "text", ["", "much", "2", "0", "0GB", "-1GB", "110%", "2XB", "1e9", "nan", "2GB ram", "0.1B", "9" * 400 + "GB"]
)  # fmt: skip
def test_another_form_is_reported(text: str) -> None:
    with pytest.raises(InputError, match=r"memory .*expected bytes with a unit as 2GB"):
        MemoryLimit.parse(text)


@given(total=st.integers(1, 1 << 50), free=st.integers(0, 1 << 50), held=st.integers(0, 1 << 50))
def test_room_of_a_total_keeps_the_process_within_it(total: int, free: int, held: int) -> None:
    room = MemoryLimit(total).room(free, held)
    assert room == 0 if held >= total else held + room == total


@given(share=st.floats(0.01, 1), free=st.integers(0, 1 << 50), held=st.integers(0, 1 << 50))
def test_room_of_a_share_is_of_what_is_free(share: float, free: int, held: int) -> None:
    assert 0 <= MemoryLimit(share=share).room(free, held) <= free
    assert MemoryLimit(share=1.0).room(free, held) == free


def test_free_is_the_least_of_machine_and_container_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    meminfo = {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:   {8 * GIB // 1024} kB\nBuffers: 1 kB"}
    assert free_bytes(root=write(tmp_path, meminfo)) == 8 * GIB
    assert free_bytes(root=write(tmp_path, SECOND)) == 2 * GIB
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert free_bytes(root=tmp_path) == GIB


def test_held_grows_with_what_is_touched() -> None:
    # A process of its own: what earlier tests let go of would be touched again, and not show.
    code = (
        "import torch; from jvid.machine.memory import held_bytes; before = held_bytes()\n"
        "block = torch.ones(50_000_000, dtype=torch.uint8); print(held_bytes() - before)"
    )
    done = run("-c", code)
    assert 49_000_000 <= int(done.stdout) <= 60_000_000, done.stderr


def test_bytes_are_shown_for_people() -> None:
    counts = (1, 1_500, 100_000_000, 86_510_000, 10**9, 1_340_000_000)
    assert list(map(format_bytes, counts)) == ["0.1 kB", "1.5 kB", "100 MB", "86.6 MB", "1.0 GB", "1.3 GB"]
