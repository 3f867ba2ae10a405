"""Kill -9 of command, worker and scheduler, each a process of its own, during a survey of a little model's stars."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.survey_kills import ClusterWay, LocalWay, Way

from benchmarks import survey_kills
from stars import ARCHIVE, archive_spectrum, pair_folder, star

STARS = 160


@pytest.mark.parametrize("way", [LocalWay, ClusterWay])
def test_every_star_has_one_row_whatever_is_killed(
    way: type[Way], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_kills, "CHUNK", 2)
    monkeypatch.setattr(survey_kills, "SECONDS", (0.0, 0.2))
    made = archive_spectrum(star(ARCHIVE), 80.0)
    columns = {
        "source_id": 2**62 + np.arange(STARS),
        "flux": [made.flux] * STARS,
        "flux_error": [made.flux_error] * STARS,
    }
    pq.write_table(pa.table(columns), tmp_path / "stars.parquet")
    one = way(tmp_path / "labels", tmp_path / "stars.parquet", str(pair_folder(ARCHIVE)), random.Random(1))
    one.killed(1)
    told = {name: found for name, found, _ in one.judged(STARS)}
    assert sorted(one.told) == sorted(one.planned)
    assert told["stars with a row, with two"] == f"{STARS}, 0"
    assert not one.changed
    assert told["unfinished files left"] == "0"
    assert one.refused == 1
