"""The verb ``generate``: one spectrum or a whole table, at once or not at all, in the format that was asked for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from synthetic import ROOT, TINY
from tiny_models import tiny_emulator

from stellar_emulator import Emulator
from stellar_emulator.cli import main
from stellar_emulator.contract.label_file import ROWS
from stellar_emulator.grid.readers.user_grid import open_grid

SUN = ["--teff", "5777", "--m_h", "-0.1", "--vsini=2.5"]


def write_labels(path: Path, rows: int) -> np.ndarray:
    share = np.random.default_rng(1).random((rows, len(TINY.labels)))
    labels = TINY.lower + share * (TINY.upper - TINY.lower)
    pq.write_table(pa.table(dict(zip(TINY.label_names, labels.T, strict=True))), path)
    return labels


def generate(folder: Path, *words: str, output: str = "out/spectra.parquet") -> int:
    return main(["generate", str(folder / "emulator"), *words, "--output", str(folder / output)])


def generate_table(folder: Path, labels: str = "stars.parquet", output: str = "out/spectra.parquet") -> int:
    return generate(folder, "--labels", str(folder / labels), output=output)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").iterdir())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an emulator."""
    folder = tmp_path_factory.mktemp("place")
    tiny_emulator(folder / "emulator")
    return folder


def test_spectra_lie_beside_their_labels_as_a_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    emulator = tiny_emulator(tmp_path / "emulator")
    labels = write_labels(tmp_path / "stars.parquet", ROWS + 10)
    assert generate_table(tmp_path) == 0
    path = tmp_path / "out" / "spectra.parquet"
    assert f"{path}: 2,058 spectra by tiny-emulator {emulator.digest[:12]}" in capsys.readouterr().out
    assert left(tmp_path) == ["spectra.parquet"]
    grid = open_grid(path, TINY, tmp_path)
    np.testing.assert_array_equal(grid.labels, labels)
    np.testing.assert_array_equal(grid.wavelength, TINY.wavelength.pixels)
    expected = np.concatenate([emulator(labels[:ROWS]), emulator(labels[ROWS:])])
    np.testing.assert_array_equal(grid.take(np.arange(len(labels))), expected)
    assert pq.read_schema(path).metadata[b"emulator"].decode() == emulator.digest


def test_one_spectrum_of_labels_on_the_command_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(place, *SUN, output="sun.fits") == 0
    assert "sun.fits: 1 spectrum by tiny-emulator" in capsys.readouterr().out
    with fits.open(place / "sun.fits") as file:
        expected = Emulator.load(place / "emulator")(teff=5777.0, m_h=-0.1, vsini=2.5)
        np.testing.assert_array_equal(file[0].data, expected)
        assert [file[0].header[name] for name in ("TEFF", "M_H", "VSINI")] == [5777.0, -0.1, 2.5]


def test_a_table_and_a_label_that_its_rows_share(place: Path) -> None:
    (place / "stars.csv").write_text("m_h,teff\n0.1,5000\n-0.2,6000\n")
    assert generate(place, "--labels", str(place / "stars.csv"), "--vsini", "7", output="two.fits") == 0
    with fits.open(place / "two.fits") as file:
        expected = Emulator.load(place / "emulator")(teff=[5000.0, 6000.0], m_h=[0.1, -0.2], vsini=7.0)
        np.testing.assert_array_equal(file[0].data, expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no labels are given: give each as an option, such as --teff 5777, or a table by --labels"),
        (SUN[:4], "label vsini is missing: give it, 0 to 100 km/s"),
        ([*SUN, "--tef", "5777"], "label tef is unknown: did you mean teff?"),
        ([*SUN[2:], "--teff", "hot"], "--teff = 'hot' is no number"),
        ([*SUN[2:], "--teff", "nan"], "teff = nan K in row 0 is not finite"),
        ([*SUN[2:], "--teff", "57770"], "teff = 57770 K in row 0 lies outside 4000 to 8000 K"),
        ([*SUN, "--labels", "nowhere.csv"], "labels nowhere.csv can't be read"),
    ],
)
def test_wrong_labels_are_one_line(
    place: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(place, *words, output="never.fits") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(place.glob("*never*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ouput", "sun.fits"], "option --ouput is unknown: did you mean --output?"),
        (["--teff"], "option --teff wants one number: none follows"),
        (["--teff", "5777", "--teff", "5778"], "option --teff wants one number: it is given twice"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["generate", *words])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_an_unknown_suffix_is_refused_before_anything_else(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(place, *SUN, output="sun.fit") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the suffix '.fit' is not known: give .fits, .parquet, .csv, .png" in line


def test_without_a_shipped_model_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stellar_emulator.models.pair.resource", lambda *parts: tmp_path.joinpath(*parts))
    assert main(["generate", *SUN, "--output", str(tmp_path / "sun.fits")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "gaia_rvs is no model's folder and no model of that name comes with this package (it has none)" in line


def test_one_spectrum_imports_nothing_that_takes_long(place: Path) -> None:
    code = (
        "import sys\nfrom stellar_emulator.cli import main\n"
        "assert main(sys.argv[1:]) == 0\nprint(' '.join(sys.modules))"
    )
    words = ["generate", str(place / "emulator"), *SUN, "--output", str(place / "fresh.fits")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "onnxruntime" in loaded
    assert not loaded & {"mlflow", "pandas", "pyarrow", "scipy", "astropy", "matplotlib", "onnx", "tqdm", "tensorflow"}


def test_a_bad_row_leaves_the_last_file_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_emulator(tmp_path / "emulator")
    labels = write_labels(tmp_path / "stars.parquet", 5)
    assert generate_table(tmp_path) == 0
    before = (tmp_path / "out" / "spectra.parquet").read_bytes()
    labels[3, 0] = 9000.0
    pq.write_table(pa.table(dict(zip(TINY.label_names, labels.T, strict=True))), tmp_path / "hot.parquet")
    capsys.readouterr()
    assert generate_table(tmp_path, "hot.parquet") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "hot.parquet: teff = 9000 K in row 3 lies outside 4000 to 8000 K" in line
    assert left(tmp_path) == ["spectra.parquet"]
    assert (tmp_path / "out" / "spectra.parquet").read_bytes() == before


@pytest.mark.parametrize("suffix", [".parquet", ".fits"])
def test_killed_midway_it_leaves_no_half_file(suffix: str, tmp_path: Path) -> None:
    tiny_emulator(tmp_path / "emulator")
    write_labels(tmp_path / "stars.parquet", 200_000)
    command = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["generate", "emulator", "--labels", "stars.parquet", "--output", f"out/spectra{suffix}"]
    started = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.DEVNULL,
    )
    partial = tmp_path / "out" / f".spectra.partial{suffix}"
    while not (partial.exists() and partial.stat().st_size > 1_000_000):
        assert started.poll() is None
        time.sleep(0.005)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert not (tmp_path / "out" / f"spectra{suffix}").exists()
    write_labels(tmp_path / "stars.parquet", 5)
    assert generate_table(tmp_path, output=f"out/spectra{suffix}") == 0
    assert left(tmp_path) == [f"spectra{suffix}"]


def test_interrupted_it_says_what_is_lost(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Emulator, "flux", interrupt)
    assert generate(place, *SUN, output="never.fits") == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("stellar-emulator: interrupted: the spectra made so far are lost, and --output is as it was")
    assert not list(place.glob("*never*"))
