"""The limits of a container on memory and cores: control groups of Linux, versions 1 and 2.

    memory   the least, over the group and those above it, of   limit - used + used that can be taken back
    cores    the least of                                       quota / period

A limit binds all groups below it, and a group that has none has its parent's. Where there is no control group (other
systems), there is no limit. Source: https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/memory.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["cores", "free_memory"]

_ROOT = Path("/")


def free_memory(root: Path = _ROOT) -> int | None:
    """Bytes that the groups of this process still grant; None without a limit.

    ``root`` is the folder that holds ``proc`` and ``sys``.
    """
    found = []
    for folder in _folders("memory", root):
        second = (folder / "memory.max").exists()
        limit, used = (
            _number(folder / name)
            for name in (
                ("memory.max", "memory.current")
                if second
                else ("memory.limit_in_bytes", "memory.usage_in_bytes")
            )
        )
        if limit is None or used is None:
            continue
        # Pages of files that were read and lie unused: the kernel takes them back before it refuses.
        unused = _entry(folder / "memory.stat", "inactive_file" if second else "total_inactive_file")
        found.append(max(0, limit - max(0, used - unused)))
    return min(found, default=None)


def cores(root: Path = _ROOT) -> float | None:
    """Cores' worth of time that the groups of this process grant; None without a limit. ``root`` as above."""
    found = []
    for folder in _folders("cpu", root):
        quota, period = _quota(folder)
        if quota is not None and period and quota > 0:
            found.append(quota / period)
    return min(found, default=None)


def _quota(folder: Path) -> tuple[int | None, int | None]:
    words = _text(folder / "cpu.max").split()
    if len(words) == 2:
        return _whole(words[0]), _whole(words[1])
    return _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")


def _folders(controller: str, root: Path) -> Iterator[Path]:
    """The folders of this process's groups that have the controller, in both versions, the innermost first.

    In a container the path may be the host's, which is not there: the groups above it that are there are its own.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mounts = root / "sys/fs/cgroup"
        if controllers == "":
            tops: tuple[Path, ...] = (mounts,)
        elif controller in controllers.split(","):
            tops = tuple(mounts / name for name in dict.fromkeys((controllers, controller)))
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for top in tops:
            for depth in range(len(parts), -1, -1):
                if (folder := top.joinpath(*parts[:depth])).is_dir():
                    yield folder


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None  # "max", or nothing


def _number(path: Path) -> int | None:
    return _whole(_text(path))


def _entry(path: Path, name: str) -> int:
    """The number beside a name in a file of ``name number`` lines; 0 without it."""
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name:
            return _whole(words[1]) or 0
    return 0
