"""Quotas of processor time, by which a container gives fewer cores than its machine has."""

import math
from functools import cache
from pathlib import Path

GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where Linux states quotas of control groups, and to which of them this process belongs."""


def cores_by_quota() -> int:
    """Whole cores, 1 or more, that the quotas of this process's control groups allow; very many without one."""
    return max(1, _by_quota(GROUPS, OWN))


@cache
def _by_quota(groups: Path, own: Path) -> int:
    quotas = [_quota(folder) for folder in _folders(groups, own)]
    return min((math.ceil(quota) for quota in quotas if quota > 0), default=1 << 16)


def _folders(groups: Path, own: Path) -> list[Path]:
    """The process's groups of processor time and all that hold them, of either version of control groups."""
    found = []
    for line in _text(own).splitlines():
        _, controllers, place = [*line.split(":", 2), "", ""][:3]
        if not controllers or "cpu" in controllers.split(","):
            root = groups / "cpu" if controllers else groups
            folder = root / place.lstrip("/")
            found += [folder, *(above for above in folder.parents if above.is_relative_to(root))]
    return found


def _quota(folder: Path) -> float:
    """Cores that a group may use on average, 0 if it has no quota (`cpu.max`, or version 1's two files)."""
    words = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us").strip(),
        _text(folder / "cpu.cfs_period_us").strip(),
    ]
    try:
        return float(words[0]) / float(words[1])
    except (ValueError, IndexError, ZeroDivisionError):  # "max", or nothing is stated
        return 0.0


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
