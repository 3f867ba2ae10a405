import json

import numpy as np
import pytest
from synthetic import GAIA, SMALL, TINY, synthetic_rows, synthetic_runs, write_rows, write_runs

from stellar_emulator.contract.contract import parse_contract, read_contract
from stellar_emulator.errors import InputError
from stellar_emulator.grid.shards import read_intrinsic_grid
from stellar_emulator.grid.source import EMBEDDED, INTRINSIC, SYNTHESISED, broaden, embedded_folder, open_source


def test_a_folder_of_intrinsic_spectra_is_broadened_once(tmp_path) -> None:
    folder = write_runs(tmp_path / "runs", synthetic_runs())
    opened = open_source(str(folder), SMALL, tmp_path / "scratch")
    assert opened.intrinsic is not None
    assert opened.intrinsic.run_id.tolist() == list(range(12))
    assert opened.grid.rows == 12 * SMALL.sampling.realisations
    assert opened.grid.provenance["realisations"] == SMALL.sampling.realisations
    written = opened.grid.path.stat().st_mtime_ns
    again = open_source(str(folder), SMALL, tmp_path / "scratch")
    assert again.grid.path.stat().st_mtime_ns == written
    assert again.grid.digest == opened.grid.digest


def test_other_spectra_or_another_contract_are_broadened_anew(tmp_path) -> None:
    folder = write_runs(tmp_path / "runs", synthetic_runs())
    first = open_source(str(folder), SMALL, tmp_path / "scratch").grid.path
    write_runs(folder, synthetic_runs(runs=13))
    second = open_source(str(folder), SMALL, tmp_path / "scratch").grid
    assert second.path != first
    assert second.rows == 13 * SMALL.sampling.realisations
    other = SMALL.model_copy(update={"digest": "0" * 64})
    assert open_source(str(folder), other, tmp_path / "scratch").grid.path not in (first, second.path)


def test_what_synthesize_wrote_is_opened_as_it_lies(tmp_path) -> None:
    write_runs(tmp_path / "made" / INTRINSIC, synthetic_runs())
    intrinsic = read_intrinsic_grid(tmp_path / "made" / INTRINSIC, SMALL)
    grid = broaden(intrinsic, SMALL, 2, tmp_path / "made" / SYNTHESISED)
    opened = open_source(str(tmp_path / "made"), SMALL, tmp_path / "scratch")
    assert opened.grid.path == grid.path
    assert opened.grid.rows == 24
    assert opened.intrinsic is not None
    np.testing.assert_array_equal(opened.intrinsic.labels, synthetic_runs().labels)
    assert not (tmp_path / "scratch").exists()


def test_a_grid_broadened_in_lte_is_refused_where_the_contract_has_departures(tmp_path) -> None:
    stars = read_contract("rvs_stars")
    in_lte = parse_contract(stars.source.replace("departures: ca_ii\n", ""))
    runs = read_intrinsic_grid(embedded_folder(in_lte, "gate"), in_lte).take(np.arange(2))
    made = tmp_path / "made"
    made.mkdir()
    broaden(runs, in_lte, 2, made / SYNTHESISED)
    assert open_source(str(made), in_lte, tmp_path).grid.rows == 4
    for source in (made, made / SYNTHESISED):
        with pytest.raises(
            InputError, match="from runs with departures from LTE none, and contract rvs_stars has ca_ii"
        ):
            open_source(str(source), stars, tmp_path)


def test_a_file_has_no_intrinsic_spectra(tmp_path) -> None:
    grid = write_rows(tmp_path / "grid.parquet", synthetic_rows())
    opened = open_source(str(grid.path), TINY, tmp_path / "scratch")
    assert opened.intrinsic is None
    assert opened.grid.digest == grid.digest


def test_the_embedded_grid_is_found_by_contract_and_sequence() -> None:
    assert (embedded_folder(GAIA) / "provenance.json").is_file()
    assert embedded_folder(GAIA, "gate").name == "gate"
    assert json.loads((embedded_folder(GAIA) / "provenance.json").read_text())["seed"] == GAIA.sampling.seed


def test_a_contract_without_embedded_grid_is_told_so(tmp_path) -> None:
    with pytest.raises(InputError, match=r"contract tiny has no embedded grid \(no data/tiny/seed in the checkout\)"):
        open_source(EMBEDDED, TINY, tmp_path)


def test_a_missing_or_damaged_source_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        open_source(str(tmp_path / "nowhere"), SMALL, tmp_path / "scratch")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty is an empty folder"):
        open_source(str(tmp_path / "empty"), SMALL, tmp_path / "scratch")
    folder = write_runs(tmp_path / "runs", synthetic_runs())
    (folder / "shard-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"shard-00000\.parquet was changed or cut short"):
        open_source(str(folder), SMALL, tmp_path / "scratch")
