"""Threads of a process: a share of the cores, the quota of a container, and what was requested."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.errors import InputError
from jvid.machine import cgroups
from jvid.machine.cores import local_world_size, set_threads, threads_for, usable_cores
from tests.installed import fork

ROOT = Path(__file__).parents[3]
GIB = 1 << 30


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


SECOND = {
    "proc/self/cgroup": "0::/job/step",
    "sys/fs/cgroup/job/step/memory.max": "max",
    "sys/fs/cgroup/job/step/memory.current": "100",
    "sys/fs/cgroup/job/memory.max": str(4 * GIB),
    "sys/fs/cgroup/job/memory.current": str(3 * GIB),
    "sys/fs/cgroup/job/memory.stat": f"anon 5\ninactive_file {GIB}",
    "sys/fs/cgroup/job/step/cpu.max": "max 100000",
    "sys/fs/cgroup/job/cpu.max": "250000 100000",
}
FIRST = {
    "proc/self/cgroup": "9:name=systemd:/\n4:memory:/on/the/host\n2:cpu,cpuacct:/job\n0::/",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * GIB),
    "sys/fs/cgroup/memory/memory.usage_in_bytes": str(GIB),
    "sys/fs/cgroup/memory/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB // 2}",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
    "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "50000",
    "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
}


def test_limits_of_groups_are_found_above_in_both_versions(tmp_path: Path) -> None:
    second = write(tmp_path / "second", SECOND)
    assert cgroups.free_memory(second) == 2 * GIB  # of the parent: 4 - (3 - 1)
    assert cgroups.cores(second) == 2.5
    first = write(tmp_path / "first", FIRST)  # the memory's group is the host's: the mount is the container's
    assert cgroups.free_memory(first) == 2 * GIB - GIB // 2
    assert cgroups.cores(first) == 0.5


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert cgroups.free_memory(tmp_path) is None
    assert cgroups.cores(tmp_path) is None


def test_a_group_beyond_its_limit_grants_nothing(tmp_path: Path) -> None:
    files = {**SECOND, "sys/fs/cgroup/job/memory.current": str(9 * GIB)}
    assert cgroups.free_memory(write(tmp_path, files)) == 0


def test_usable_cores_are_the_affinity_within_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(7)), raising=False)
    assert usable_cores(tmp_path) == 7
    assert usable_cores(write(tmp_path / "second", SECOND)) == 2
    assert usable_cores(write(tmp_path / "first", FIRST)) == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert usable_cores(tmp_path) == 5


@given(cores=st.integers(1, 256), usual=st.integers(1, 256), world=st.integers(1, 64))
def test_processes_together_take_no_more_than_the_cores(cores: int, usual: int, world: int) -> None:
    environ = {"LOCAL_WORLD_SIZE": str(world)}
    threads = threads_for(None, cores, usual, environ) or usual
    assert 1 <= threads <= usual
    assert threads * world <= max(cores, world)
    # As many as that allows.
    assert threads == usual or (threads + 1) * world > cores
    assert threads_for(None, cores, threads, environ) is None  # setting them again changes nothing


@given(cores=st.integers(1, 64), usual=st.integers(1, 64), requested=st.integers(1, 64))
def test_what_is_given_goes_first(cores: int, usual: int, requested: int) -> None:
    environ = {"LOCAL_WORLD_SIZE": "4", "OMP_NUM_THREADS": "3"}
    assert threads_for(requested, cores, usual, environ) == requested
    assert threads_for(None, cores, usual, environ) is None


@pytest.mark.parametrize("printed", ["0", "-2", "two", "1.5", "²"])
def test_a_wrong_number_of_processes_is_reported(printed: str) -> None:
    with pytest.raises(InputError, match=r"LOCAL_WORLD_SIZE=.* expected how many processes"):
        local_world_size({"LOCAL_WORLD_SIZE": printed})


def test_no_number_of_processes_is_one() -> None:
    assert local_world_size({}) == local_world_size({"LOCAL_WORLD_SIZE": ""}) == 1


def test_set_threads_sets_what_was_requested() -> None:
    before = torch.get_num_threads()
    try:
        assert set_threads(3) == torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_limited_threads_are_those_of_torch_and_of_linear_algebra() -> None:
    stated = (
        "import numpy, scipy.linalg, torch, threadpoolctl\n"
        "from jvid_training.jobs.threads import limit_threads\n"
        "for count in (1, 3):\n"
        "    assert limit_threads(count) == torch.get_num_threads() == count\n"
        "    print({pool['num_threads'] for pool in threadpoolctl.threadpool_info() if pool['user_api'] == 'blas'})\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "4"}
    command = [sys.executable, "-c", stated]
    assert subprocess.check_output(command, env=environ, text=True, cwd=ROOT) == "{1}\n{3}\n"


SCRIPT = """
import os, torch
from jvid.machine import cgroups
os.sched_getaffinity = lambda pid: set(range({cores}))
cgroups.cores = lambda root: None
torch.set_num_threads({cores})
from jvid.machine.device import prepare
for call in ((), (5,)):
    prepare("cpu", *call)
    print(torch.get_num_threads())
"""


def test_two_processes_take_half_of_the_cores_each_or_what_is_requested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    both = [fork("-c", SCRIPT.format(cores=8), LOCAL_WORLD_SIZE="2", LOCAL_RANK=rank) for rank in ("0", "1")]
    assert [done.stdout for done in both] == ["4\n5\n"] * 2, both
