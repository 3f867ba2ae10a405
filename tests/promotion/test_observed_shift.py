"""Observed spectra, fitted with two real pairs that differ by a known shift of one label."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stars import ARCHIVE, archive_spectrum, pair_of, star
from stellar_emulator import Emulator
from stellar_emulator.contract.gate_limits import ObservedLimits
from stellar_emulator.errors import InputError
from stellar_emulator.gate.observed import observed_criteria, observed_table, observed_totals
from stellar_emulator.networks.dense import scale_inputs
from stellar_emulator.networks.inference import EmulatorNetwork
from stellar_emulator.promotion.candidates import RegisteredPair
from stellar_emulator.promotion.champion import PairVersions
from stellar_emulator.promotion.observed_shift import chosen_chunks, evenly, observed_shift, twice_fitted
from stellar_emulator.saved.bundle import read_network, save_emulator
from stellar_emulator.survey.chunks import Chunk, Dataset, dataset_of

STARS, MOVED = 5, 100.0


def pair(version: int = 1, emulator: Emulator | None = None) -> RegisteredPair:
    own = pair_of(ARCHIVE)
    return RegisteredPair(PairVersions(version, 1), emulator or own.emulator, (own.validator,), {})


@pytest.fixture(scope="module")
def challenger(tmp_path_factory: pytest.TempPathFactory) -> RegisteredPair:
    """The same pair, but for Teff, of which its spectra want so many kelvin less."""
    folder, own = tmp_path_factory.mktemp("moved") / "emulator", pair_of(ARCHIVE).emulator
    network = read_network(own.bundle)
    assert isinstance(network, EmulatorNetwork)
    offset = MOVED * (np.array(ARCHIVE.label_names) == "teff")
    moved = EmulatorNetwork(scale_inputs(network.chain, np.ones(len(offset)), offset))
    save_emulator(folder, moved, ARCHIVE, {}, dict(own.bundle.measured))
    return pair(2, Emulator.load(folder))


def stars(path: Path, count: int = STARS) -> Path:
    """Spectra as Gaia's archive has them; the fourth shows no lines."""
    made = [archive_spectrum(star(ARCHIVE), 100.0, 0.0, number) for number in range(count)]
    flux = np.stack([one.flux for one in made])
    flux[3:4] = 1.0 + np.random.default_rng(0).normal(0.0, 0.01, flux.shape[1])
    columns = {
        "source_id": np.arange(count),
        "wavelength": list(np.tile(made[0].wavelength, (count, 1))),
        "flux": list(flux),
        "flux_error": list(np.stack([one.flux_error for one in made])),
    }
    table = pa.table(columns)
    fields = [field.with_metadata({"unit": "nm"} if field.name == "wavelength" else {}) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), path)
    return path


def test_a_known_shift_is_found_and_limits_refuse_or_pass_it(challenger: RegisteredPair, tmp_path: Path) -> None:
    found = observed_shift(dataset_of([stars(tmp_path / "s.parquet")], 512, False), "s", challenger, pair())
    rows = {row["label"]: row for row in observed_table(ARCHIVE, found)}
    assert rows["teff"]["shift"] == pytest.approx(-MOVED, abs=10.0)
    for name in ("logg", "m_h", "radial_velocity"):
        assert abs(rows[name]["shift_in_errors"]) < 0.2, rows[name]
    totals = observed_totals(found)
    assert (totals["spectra"], found.settings["unusable"]) == (STARS - 1, 1)
    assert "no absorption lines" in found.settings["first_reason"]
    assert found.settings["taken"] == f"{STARS} spectra"
    assert found.settings["model_error"] == "emulator"
    assert abs(totals["change"]) < 0.01
    size = abs(rows["teff"]["shift_in_errors"])
    for factor, verdict in ((0.9, "refused"), (1.1, "passed")):
        limits = ObservedLimits(shift={"teff": factor * size}, spectra=2)
        gate = ARCHIVE.gate.model_copy(update={"observed": limits}) if ARCHIVE.gate else None
        first = observed_criteria(ARCHIVE.model_copy(update={"gate": gate}), found)[0]
        assert (first.name.split()[2], first.verdict) == ("teff", verdict)


def test_without_a_champion_and_without_a_usable_spectrum(tmp_path: Path) -> None:
    dataset = dataset_of([stars(tmp_path / "s.parquet", 2)], 512, False)
    alone = observed_shift(dataset, "s", pair(), None)
    assert alone.alone
    assert observed_totals(alone)["chi_square"] == pytest.approx(1.0, abs=0.15)
    (tmp_path / "notes.csv").write_text("no,spectrum\n1,2\n")
    with pytest.raises(InputError, match=r"--observed n: none of 1 spectrum can be used .* the first: .*notes\.csv"):
        observed_shift(dataset_of([tmp_path / "notes.csv"], 512, False), "n", pair(), None)


class Broken:
    """An emulator that answers what is no number; loading refuses one that does so everywhere."""

    contract = ARCHIVE

    def flux(self, labels: np.ndarray) -> np.ndarray:
        return np.full((len(labels), ARCHIVE.wavelength.count), np.nan, np.float32)

    def error(self, labels: np.ndarray) -> np.ndarray:
        return 0.0 * self.flux(labels)


def test_models_that_answer_no_number_are_named(tmp_path: Path) -> None:
    dataset = dataset_of([stars(tmp_path / "s.parquet", 2)], 512, False)
    with pytest.raises(InputError, match="emulator 2 with validator 1 answers what is no number"):
        observed_shift(dataset, "s", pair(2, cast(Emulator, Broken())), pair())


def test_the_command_reads_no_more_than_it_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stellar_emulator.promotion.observed_shift.MOST", 2)
    alone = observed_shift(dataset_of([stars(tmp_path / "s.parquet")], 2, False), "s", pair(), None)
    assert alone.settings["taken"] == f"2 spectra, evenly spaced over {STARS} spectra"
    assert (alone.settings["fitted"], alone.settings["unusable"]) == (2, 0)


def test_spectra_that_one_pair_alone_can_not_use_are_named() -> None:
    ours, both = InputError("a: too short"), InputError("b: no lines")
    fits, refused = twice_fitted([ours, both], [ours, both])
    assert (fits, [str(one) for one in refused]) == ([], ["a: too short", "b: no lines"])
    assert twice_fitted([both], None) == ([], [both])


def dataset(*chunks: Chunk) -> Dataset:
    return Dataset(chunks, "0")


def test_rows_and_files_are_chosen_evenly_and_no_others_are_read() -> None:
    made = dataset(Chunk(0, ("a",), 0, 6), Chunk(1, ("a",), 6, 9), Chunk(2, ("b", "c", "d")))
    chosen = list(chosen_chunks(made, 5))
    told = [(chunk.paths, chunk.first, chunk.stop, rows.tolist()) for chunk, rows in chosen]
    # Of twelve, numbers 0, 3, 6, 8 and 11.
    assert told == [(("a",), 0, 4, [0, 3]), (("a",), 6, 9, [0, 2]), (("d",), 0, 0, [2])]
    whole = list(chosen_chunks(made, 100))
    assert sum(len(rows) for _, rows in whole) == 12


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 21, 1000])
def test_items_are_taken_evenly_however_many_there_are(count: int) -> None:
    def items() -> Iterator[int]:
        yield from range(count)

    kept, found = evenly(items(), 10)
    assert (found, len(kept)) == (count, min(count, 10))
    assert kept == sorted(set(kept))
    if count > 10:
        assert kept[0] == 0
        assert kept[-1] >= 0.8 * count
        assert np.diff(kept).max() <= 2.1 * count / 10
