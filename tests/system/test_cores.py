"""Cores that a process may use."""

import os
from pathlib import Path

import pytest

from stellar_emulator.system import quota
from stellar_emulator.system.cores import cores


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/job\n", {"job/cpu.max": "150000 100000"}, 2),
        ("0::/job\n", {"job/cpu.max": "max 100000", "cpu.max": "300000 100000"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, 64),
        (
            "4:cpuacct,cpu:/job\n0::/\n",
            {"cpu/job/cpu.cfs_quota_us": "400000", "cpu/job/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ("3:memory:/job\n", {"job/cpu.max": "100000 100000"}, 64),
        ("", {}, 64),
    ],
)
def test_a_quota_bounds_the_cores(
    own: str, files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        place = tmp_path / "groups" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    monkeypatch.setattr(quota, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(quota, "OWN", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    assert cores() == expected


def test_affinity_bounds_the_cores_and_no_file_need_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "OWN", tmp_path / "none")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5, 7}, raising=False)
    assert cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1


def test_nothing_asks_for_the_machine_s_cores_by_itself() -> None:
    package = Path(quota.__file__).parents[1]
    asking = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if any(word in file.read_text() for word in ("cpu_count", "sched_getaffinity"))
    ]
    assert asking == ["system/cores.py"]
