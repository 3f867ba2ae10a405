"""The verb promote with observed spectra, on a real registry: told, limited by the contract, refused before all else.

Twelve Angstrom tell no velocity, so that fits are made up here; real ones are `test_observed_shift`'s.
"""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arena import ARENA, Arena, good_network, without_page_and_server

from stellar_emulator.contract.contract import parse_contract
from stellar_emulator.fitting.estimate import Fitted
from stellar_emulator.fitting.forward import Parameters
from stellar_emulator.fitting.solution import Solution
from stellar_emulator.gate.observed import FittedTwice, Observed
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.promotion.champion import PairVersions

LIMITED = parse_contract(
    ARENA.source.rstrip().removesuffix("}") + ", \n   observed: {shift: {teff: 0.5}, spectra: 3}}\n"
)
STARS = 3


def made_up(spectra: Sequence[ObservedSpectrum], *how: object) -> list[Fitted]:
    """Fits whose model is one error away from every pixel."""
    found = Parameters(ARENA.lower, 0.0, np.zeros(4))
    return [
        Fitted(
            cast(Solution, SimpleNamespace(parameters=found, model=one.flux - one.error)),
            one,
            (),
        )
        for one in spectra
    ]


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    folder = tmp_path_factory.mktemp("observed")
    made = Arena(folder, f"sqlite:///{folder / 'mlflow.db'}", LIMITED)
    made.build()
    (folder / "empty").mkdir()
    pixels = ARENA.wavelength.pixels
    labels = ARENA.lower + np.linspace(0.3, 0.6, STARS)[:, None] * (ARENA.upper - ARENA.lower)
    noise = np.random.default_rng(0).normal(0.0, 0.002, (STARS, len(pixels)))
    columns = {
        "wavelength_vac": list(np.tile(pixels, (STARS, 1))),
        "flux": list(good_network()(labels) / 0.7 + noise),
        "flux_error": list(np.full(noise.shape, 0.002)),
    }
    table = pa.table(columns)
    fields = [field.with_metadata({"unit": "Angstrom"} if "wave" in field.name else {}) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), folder / "stars.parquet")
    with pytest.MonkeyPatch.context() as patch:
        without_page_and_server(patch)
        patch.setattr("stellar_emulator.promotion.observed_shift.fit_all", made_up)
        yield made


@pytest.fixture(scope="module")
def champion(arena: Arena) -> PairVersions:
    pair = arena.register()
    ended = arena.promote(pair, "--observed", "stars.parquet")
    assert ended.code == 0, ended.err
    assert f"{STARS} of {STARS} spectra of stars.parquet were fitted" in ended.err
    return pair


def given(patch: pytest.MonkeyPatch, in_errors: float, spectra: int = STARS) -> None:
    """Let the fits of both pairs differ by so many errors of Teff."""
    shift = in_errors * (np.arange(4) == 0)
    fits = (FittedTwice(shift, np.ones(4), 60.0, 50.0, 50),) * spectra
    settings = {"place": "stars.parquet", "taken": "3 spectra", "fitted": spectra, "unusable": 0, "first_reason": ""}
    found = Observed(fits, settings, False)
    patch.setattr("stellar_emulator.cli.promote.observed_shift", lambda *rivals: found)


def test_without_a_champion_nothing_is_limited(arena: Arena, champion: PairVersions) -> None:
    assert arena.state() == (champion, None)
    record = arena.decision()
    (told,) = [row for row in record["criteria"] if "observed spectra" in row["name"]]
    assert (told["verdict"], told["section"]) == ("not counted", "champion")
    assert record["tables"]["observed"] == []
    assert record["settings"]["observed"]["fitted"] == STARS
    assert record["settings"]["limits"]["observed"] == {"shift": {"teff": 0.5}, "spectra": 3}
    run = arena.client.get_run(record["run_id"])
    assert run.data.metrics["observed.spectra"] == STARS
    pixels, free = ARENA.wavelength.count, len(ARENA.labels) + 1 + 4
    assert told["figure"] == pytest.approx(pixels / (pixels - free))
    assert run.data.metrics["observed.chi_square"] == told["figure"]
    digest = record["settings"]["observed"]["digest"]
    assert digest[:36] in {one.dataset.digest for one in run.inputs.dataset_inputs}


def test_the_contract_wants_observed_spectra_where_there_is_a_champion(arena: Arena, champion: PairVersions) -> None:
    before = arena.decision()
    ended = arena.promote(arena.register(4e-4))
    assert ended.code == 2
    assert "limits how far labels may move on observed spectra (gate.observed)" in ended.err.splitlines()[-1]
    assert arena.decision() == before


def test_a_shift_beyond_the_limit_refuses_and_one_below_passes(
    arena: Arena, champion: PairVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    better = arena.register(4e-4)
    for shift, spectra, code in ((0.4, 3, 0), (0.6, 3, 1), (-0.6, 3, 1), (0.4, 2, 1)):
        given(monkeypatch, shift, spectra)
        ended = arena.promote(better, "--dry_run", "yes", "--observed", "stars.parquet")
        assert ended.code == code, (shift, ended.err)
        record = arena.decision()
        refused = [row["name"] for row in record["criteria"] if row["verdict"] == "refused"]
        own = "observed spectra" if spectra == 2 else "shift of teff on 3 observed spectra, in errors"
        assert refused == ([own] if code else [])
        metrics = arena.client.get_run(record["run_id"]).data.metrics
        assert metrics["observed.teff.shift"] == shift
        assert metrics["observed.worse"] == 1.0
    assert arena.state() == (champion, None)


@pytest.mark.parametrize(
    ("place", "said"),
    [("empty", "empty holds no file of spectra"), ("absent", "absent is no file and no folder")],
)
def test_what_holds_no_spectra_is_refused_before_anything_is_decided(
    arena: Arena, champion: PairVersions, place: str, said: str
) -> None:
    before = arena.decision()
    ended = arena.promote(champion, "--dry_run", "yes", "--observed", place)
    assert ended.code == 2
    assert said in ended.err.splitlines()[-1]
    assert arena.decision() == before


def test_spectra_that_can_not_be_used_end_the_command_with_the_first_reason(
    arena: Arena, champion: PairVersions
) -> None:
    before = arena.decision()
    (arena.folder / "notes.csv").write_text("no,spectrum\n1,2\n")
    ended = arena.promote(champion, "--dry_run", "yes", "--observed", "notes.csv")
    assert ended.code == 2
    assert "--observed notes.csv: none of 1 spectrum can be used" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    assert arena.decision() == before
    assert arena.locks() == []
