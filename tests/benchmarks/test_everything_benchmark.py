"""The table of everything: rows of each benchmark, from a process of its own."""

import os
from typing import Any

import pytest
from benchmarks.__main__ import _alone

from benchmarks import generation, peers
from stellar_emulator import Emulator


def _rows() -> list[tuple[str, str, str]]:
    return [("process", str(os.getpid()), "")]


def test_a_benchmark_runs_in_a_process_of_its_own_under_its_name() -> None:
    ((name, measure, process, bar),) = _alone("who", _rows)
    assert (name, measure, bar) == ("who", "process", "")
    assert process != str(os.getpid())


def test_generation_gives_a_measure_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = [
        ("plain NumPy", "64", "3.5 (3.4-3.6)", "18000 (17000-19000)", "29%", ""),
        ("ours", "1,024", "30 (29-31)", "34000 (33000-35000)", "55%", ">= 60%"),
        ("a product", "", "", "", "218 GFLOP/s", ""),
    ]
    monkeypatch.setattr(generation, "by_way", lambda emulator: ways)
    monkeypatch.setattr(Emulator, "load", classmethod(lambda cls: None))
    assert generation.measured() == [
        ("plain NumPy, 64 at once (ms)", "3.5 (3.4-3.6)", ""),
        ("plain NumPy, 64 at once (spectra/s)", "18000 (17000-19000), 29%", ""),
        ("ours, 1,024 at once (ms)", "30 (29-31)", ""),
        ("ours, 1,024 at once (spectra/s)", "34000 (33000-35000), 55%", ">= 60%"),
        ("a product", "218 GFLOP/s", ""),
    ]


def test_bars_of_the_peers_are_those_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(*given: Any) -> list[tuple[str, ...]]:
        return [("ours, preset `default`", *map(str, range(7))), ("a peer", *map(str, range(7)))]

    monkeypatch.setattr(peers, "compared", compared)
    rows = peers.measured(1.0)
    assert len(rows) == 14
    assert ("ours, preset `default`, flux MAE", "2", "below every peer's") in rows
    assert ("a peer, flux MAE", "2", "") in rows
