"""Networks trained by one contract that serve another one's wavelength axis."""

from pathlib import Path

import numpy as np
import pytest
from fresh_store import fresh_store
from synthetic import SMALL, synthetic_runs, write_runs
from workplace import ONE_JUDGE, Ended, Workplace

from stellar_emulator import Emulator
from stellar_emulator.saved.bundle import read_bundle

OTHER = {
    "name: small_rvs": "name: archive",
    "emulator: small-emulator": "emulator: archive-emulator",
    "validator: small-label-validator": "validator: archive-label-validator",
    "{start: 8530.0, step: 0.2, count: 120": "{start: 8535.0, step: 0.1, count: 100",
    "medium: air}\n\nflux": "medium: vacuum}\n\nflux",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A folder with runs, a contract, another one of another axis and a fixed resolution, and a trained pair."""
    place = Workplace(tmp_path_factory.mktemp("lent"))
    fresh_store(place.folder)
    write_runs(place.folder / "runs", synthetic_runs(runs=60))
    text = SMALL.source
    (place.folder / "own.yaml").write_text(text)
    lines = [line for line in text.splitlines(keepends=True) if "{name: resolution" not in line]
    text = "".join(lines) + "\ninstrument: {resolution: 11500.0, sharpest: 14500.0}\n"
    for old, new in OTHER.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (place.folder / "other.yaml").write_text(text)
    (place.folder / "exact.yaml").write_text(ONE_JUDGE.replace("family: learned", "family: exact\nbasis: 6"))
    ended = train(place, "own", "own.yaml")
    assert ended.code == 0, ended.err
    return place


def train(place: Workplace, output: str, contract: str, **options: str) -> Ended:
    chosen = {"contract": contract, "output": output, "grid": "runs", "preset": "exact.yaml", **options}
    return place.run("train", *(word for name, value in chosen.items() for word in (f"--{name}", value)))


def test_the_other_contract_s_emulator_is_the_same_network(place: Workplace) -> None:
    ended = train(place, "other", "other.yaml", networks="own/models/emulator")
    assert ended.code == 0, ended.err
    assert "taking the networks of own/models/emulator, trained by contract small_rvs" in ended.err
    assert "registered models:/archive-emulator/1" in ended.out
    own, other = (place.folder / name / "models" / "emulator" for name in ("own", "other"))
    theirs, ours = read_bundle(own), read_bundle(other)
    assert ours.metadata["networks_of"] == theirs.digest
    assert set(ours.metadata["seen_runs"]) == set(theirs.metadata["seen_runs"])
    assert ours.contract.name == "archive"
    last = len(theirs.description["network"]["chain"]) - 1
    for number in range(last):
        np.testing.assert_array_equal(ours.weight("chain", number, "kernel"), theirs.weight("chain", number, "kernel"))
    # Of the last layer the modes that the other instrument passes, real and imaginary parts, and limb darkening.
    whole, kept = (one.weight("chain", last, "kernel") for one in (theirs, ours))
    modes, count = (whole.shape[1] - 1) // 2, (kept.shape[1] - 1) // 2
    assert 0 < count < modes
    places = [*range(count), *range(modes, modes + count), 2 * modes]
    np.testing.assert_array_equal(kept, whole[:, places])
    flux = Emulator.load(other)(teff=5800.0, logg=4.4, vsini=3.0, m_h=0.0, vmicro=1.0)
    assert flux.shape == (100,)
    networks = {path.name for path in (place.folder / "other" / "networks").glob("*/*")}
    assert networks
    assert not networks & {"autoencoder", "label_network", "chain"}


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ("nowhere", "nowhere is no model's folder"),
        ("own/models/validator", "holds a model of kind validator, not emulator"),
    ],
)
def test_what_lends_no_networks_is_refused(place: Workplace, networks: str, message: str) -> None:
    ended = train(place, "refused", "other.yaml", networks=networks)
    assert ended.code == 2
    assert len(ended.errors) == 1
    assert message in ended.errors[0]


def test_networks_that_know_the_test_runs_are_refused(place: Workplace, tmp_path: Path) -> None:
    """Another split of the same runs tests by runs that the lender was trained on."""
    text = (place.folder / "other.yaml").read_text()
    assert "train: 0.8, validation: 0.1, test: 0.1" in text
    (place.folder / "resplit.yaml").write_text(
        text.replace("train: 0.8, validation: 0.1, test: 0.1", "train: 0.3, validation: 0.1, test: 0.6")
    )
    ended = train(place, "leaked", "resplit.yaml", networks="own/models/emulator")
    assert ended.code == 2
    assert "of the runs that would test it" in ended.errors[0]
