"""The verbs infer, fit and precision as a user calls them, on files of the archive's form."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from stars import ARCHIVE, SUN, archive_spectrum, pair_folder, star
from stellar_emulator.cli import main
from stellar_emulator.survey.flags import Flag
from stellar_emulator.writers.file import whole

Command = Callable[..., tuple[int, str, str]]

COMMAND = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(verb: str, *words: str | Path) -> tuple[int, str, str]:
        code = main([verb, *map(str, words), "--model", str(pair_folder(ARCHIVE))])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    made = archive_spectrum(star(ARCHIVE), 100.0)
    path = tmp_path / "RVS_1.csv"
    Table([made.wavelength, made.flux, made.flux_error], names=["wavelength", "flux", "flux_error"]).write(path)
    return path


# Astropy, of texts in Parquet files that others than itself wrote.
@pytest.mark.filterwarnings("ignore:No table..len..:astropy.utils.exceptions.AstropyUserWarning")
@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".fits", ".parquet"])
def test_infer_writes_labels_with_errors_in_every_format(suffix: str, seen: Path, command: Command) -> None:
    output = seen.with_name(f"labels{suffix}")
    code, out, err = command("infer", seen, "--output", output)
    assert code == 0, err
    assert "teff" in out
    table = Table.read(output)
    for name, true in zip(ARCHIVE.label_names, star(ARCHIVE)[0], strict=True):
        assert abs(table[name][0] - true) < 3.5 * table[f"{name}_error"][0]
    assert abs(table["radial_velocity"][0]) < 1.0
    if suffix in (".ecsv", ".fits"):
        assert str(table["teff"].unit) == "K"


def test_a_table_of_few_has_a_survey_s_columns_and_the_command_prints_flags(seen: Path, command: Command) -> None:
    table = Table.read(seen)
    emission = np.abs(table["wavelength"] - table["wavelength"][len(table) // 2]) < 0.8
    table["flux"][emission] += 0.8
    bright = seen.with_name("emission.csv")
    table.write(bright)
    output = seen.with_name("labels.csv")
    code, out, err = command("fit", seen, bright, "--output", output)
    assert code == 0, err
    found = Table.read(output)
    assert found["flags"].tolist() == [0, int(found["flags"][1])]
    assert found["flags"][1] & Flag.EMISSION
    plain, flagged = (line for line in out.splitlines() if "velocity" in line and line[0] != " ")
    assert "flags" not in plain
    assert "EMISSION" in flagged.partition("flags ")[2].split()
    survey = seen.with_name("survey")
    code, _, err = command("fit", seen, bright, "--output", survey, "--workers", "1")
    assert code == 0, err
    rows = pq.read_table(next(survey.glob("part-*.parquet"))).to_pydict()
    own = {"read", "warning"}
    assert set(found.colnames) - own <= set(rows)
    assert rows["flags"] == found["flags"].tolist()
    np.testing.assert_allclose(rows["teff"], found["teff"], rtol=1e-4)


def test_fit_writes_covariance_and_figures(seen: Path, command: Command) -> None:
    output, figures = seen.with_name("labels.ecsv"), seen.with_name("figures")
    code, out, err = command("fit", seen, "--output", output, "--figures", figures, "--teff", "5777", "--mask", "Ca II")
    assert code == 0, err
    assert "chi-square" in out
    (row,) = Table.read(output)
    assert row["teff"] == 5777.0
    assert row["covariance_logg_logg"] > 0
    assert row["covariance_logg_m_h"] ** 2 <= row["covariance_logg_logg"] * row["covariance_m_h_m_h"]
    (figure,) = figures.iterdir()
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_one_bad_spectrum_spoils_no_other(seen: Path, command: Command) -> None:
    bad = seen.with_name("bad.csv")
    bad.write_text("wavelength,flux\n850.0,1.0\n")
    output = seen.with_name("labels.csv")
    code, _, err = command("infer", bad, seen, "--output", output)
    assert code == 1
    assert "1 of 2 spectra could not be used" in err
    table = Table.read(output)
    assert np.isfinite(float(table["teff"][1]))
    assert np.ma.is_masked(table["teff"][0]) or not np.isfinite(float(table["teff"][0]))
    assert "at least 50" in table["warning"][0]
    assert all(table["name"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent.csv"], "absent.csv is no file"),
        (["{seen}", "--unit", "Angstrom"], "state --unit nm"),
        (["{seen}", "--unit", "parsec-ish"], "'parsec-ish' are not known"),
        (["{seen}", "--output", "labels.doc"], "suffix '.doc'"),
        (["{seen}", "--mask", "Ca III"], "did you mean"),
        (["{seen}", "--validator", "nowhere"], "nowhere is no model"),
    ],
)
def test_wrong_input_gets_one_line(words: list[str], message: str, seen: Path, command: Command) -> None:
    code, _, err = command("infer", *(word.format(seen=seen) for word in words))
    lines = [line for line in err.splitlines() if "error:" in line]
    assert code == 2
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tef", "5777"], "did you mean teff"),
        (["--teff", "warm"], "--teff = 'warm' is no number"),
        (["--teff", "nan"], "teff = nan K in row 0 is not finite: give 3600 to 15000 K"),
        (["--teff", "20000"], "teff = 20000 K in row 0 lies outside 3600 to 15000 K"),
    ],
)
def test_labels_given_to_fit_are_checked(words: list[str], message: str, seen: Path, command: Command) -> None:
    code, _, err = command("fit", seen, *words)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("folder.csv", "folder.csv is a folder: give a file"),
        ("file/labels.csv", "file can't be made a folder: File exists: give another file"),
        (f"{'a' * 300}.csv", "can't be written: File name too long: give another file"),
    ],
)
def test_a_table_that_can_not_be_written_is_refused_before_any_work(
    output: str, message: str, seen: Path, command: Command
) -> None:
    (seen.parent / "folder.csv").mkdir()
    (seen.parent / "file").write_text("")
    code, out, err = command("fit", seen, "--output", seen.parent / output)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert message in line


def test_a_table_that_another_process_writes_is_left_to_it(seen: Path, command: Command) -> None:
    output = seen.with_name("labels.csv")
    with whole(output) as partial:
        code, _, err = command("infer", seen, "--output", output)
        assert partial.exists()
    assert code == 2
    assert "labels.csv is being written by another process" in err


def test_a_spectrum_whose_name_can_not_be_one_is_refused(seen: Path, command: Command) -> None:
    code, _, err = command("infer", f"{'a' * 300}.csv")
    assert code == 2
    assert "can't be read: File name too long" in err


POINT = [word for name, value in SUN.items() if name in ARCHIVE.label_names for word in (f"--{name}", str(value))]


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("verb", ["infer", "precision"])
def test_closed_streams_are_done_without(verb: str, closed: str, seen: Path) -> None:
    words = [str(seen), "--output", str(seen.with_name("labels.csv"))] if verb == "infer" else POINT
    words = [verb, *words, "--model", str(pair_folder(ARCHIVE))]
    done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-c", COMMAND, *words], check=False)
    assert done.returncode == 0
    assert verb == "precision" or len(Table.read(seen.with_name("labels.csv"))) == 1


def test_output_that_nobody_reads_is_no_error_and_that_none_can_hold_is_one_line() -> None:
    words = [sys.executable, "-c", COMMAND, "precision", *POINT, "--model", str(pair_folder(ARCHIVE))]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "error: No space left on device" in line


@pytest.mark.parametrize("words", [["--snr", "1e300"], ["--snr", "nan"], ["--snr", "0"]])
def test_a_signal_to_noise_ratio_that_is_none_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["precision", *POINT, *words])
    assert f"'{words[1]}' is no number above 0 and below 1e+09" in capsys.readouterr().err


def test_precision_prints_limits_that_fall_with_noise(command: Command) -> None:
    point = [
        word for name, value in zip(ARCHIVE.label_names, star(ARCHIVE)[0], strict=True) for word in (f"--{name}", value)
    ]

    def limit(snr: str) -> float:
        code, out, err = command("precision", *map(str, point), "--snr", snr)
        assert code == 0, err
        (line,) = [line for line in out.splitlines() if line.startswith("teff")]
        return float(line.split()[-1])

    assert limit("50") == pytest.approx(2.0 * limit("100"), rel=0.02)
    code, _, err = command("precision", "--teff", "5777")
    assert code == 2
    assert "label logg is missing: give it, 2 to 5 dex" in err


def test_help_imports_no_science() -> None:
    code = (
        "import sys\nfrom stellar_emulator.cli import main\n"
        "try:\n    main(['fit', '--help'])\nexcept SystemExit:\n    print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "astropy", "scipy", "pyarrow"} & {name.split(".")[0] for name in done.stdout.split()}


def test_a_parameter_of_mlflow_run_may_list_several_files(seen: Path, command: Command) -> None:
    """It arrives as one word, spaces and all."""
    second = seen.with_name("a second, of them.csv")
    second.write_bytes(seen.read_bytes())
    output = seen.with_name("labels.csv")
    for listed in (f"{seen} '{second}'", f"{seen},'{second}'", f"{seen}, '{second}'"):
        code, _, err = command("infer", listed, "--output", output)
        assert code == 0, err
        assert len(Table.read(output)) == 2
    code, _, err = command("infer", second, "--output", output)
    assert code == 0, err
    assert len(Table.read(output)) == 1


def test_a_file_that_is_not_there_is_told_with_the_folder(seen: Path, command: Command) -> None:
    code, _, err = command("infer", "it's one.csv")
    assert code == 2
    assert f"it's one.csv is no file in {Path.cwd()}: check its name" in err
    code, _, err = command("infer", "one.csv two.csv")
    assert code == 2
    assert f"one.csv is no file in {Path.cwd()}: check its name" in err
    code, _, err = command("infer", seen.parent / "absent.csv")
    assert f"{seen.parent / 'absent.csv'} is no file: check its name" in err


@pytest.mark.parametrize("verb", ["infer", "fit"])
def test_a_batch_that_is_interrupted_says_what_is_lost(
    verb: str, seen: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    output = seen.with_name("labels.csv")
    output.write_text("as it was")
    monkeypatch.setattr(f"stellar_emulator.cli.{verb}.{'fit_all' if verb == 'fit' else verb}", interrupt)
    code, _, err = command(verb, seen, "--output", output)
    assert code == 130
    assert "the labels found so far are lost, and --output is as it was" in err
    assert ("goes on" in err) == (verb == "fit")
    assert output.read_text() == "as it was"
