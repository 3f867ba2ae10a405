"""The page that a person opens: what it says, and that it needs no internet."""

import html
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import TINY, synthetic_rows, write_rows

from stellar_emulator.validation.check import Validation, check
from stellar_emulator.validation.data_docs import OFFENDERS, data_docs

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# What Chromium asks for itself, whatever page it shows.
ITS_OWN = re.compile(r"(^|\.)(google\.com|googleapis\.com|gvt1\.com|gstatic\.com)$")

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000000000300015dcc2ba30000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Validation]:
    """The page of a grid with two kinds of offenders, 30 of one of them."""
    folder = tmp_path_factory.mktemp("failed")
    rows = synthetic_rows(runs=40)
    rows.labels[100:130, 0] = 9000.0 + np.arange(30)
    rows.flux[3, 7] = np.nan
    validation = check(write_rows(folder / "grid.parquet", rows), TINY)
    page = data_docs(TINY, "<b>mine</b>.npz", validation, ["teff a with m_h b"], {"coverage": PIXEL})
    (folder / "index.html").write_text(page)
    return folder / "index.html", validation


def text_of(page: str) -> str:
    """What a page says, tags and styles left out."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def assert_readable(said: str, validation: Validation) -> None:
    assert "FAILED : 2 expectations are broken, by 31 of 160 spectra" in said
    for fault in validation.verdict.faults:
        assert fault.message in said
    assert "No spectrum's teff lies outside 4000 to 8000 K." in said
    assert re.search(r"\b119 29 teff 9019(\.0)? 4000 8000\b", said)
    assert f"and {30 - OFFENDERS} more in violations.parquet" in said
    assert "teff a with m_h b" in said
    assert validation.verdict.digest in said


def test_it_says_verdict_expectations_and_offenders(failed: tuple[Path, Validation]) -> None:
    path, validation = failed
    assert_readable(text_of(path.read_text()), validation)


def test_every_evaluated_expectation_has_its_sentence(failed: tuple[Path, Validation]) -> None:
    path, validation = failed
    evaluated = sum(result.statistics["evaluated_expectations"] for result in validation.results.values())
    page = path.read_text()
    assert len(re.findall(r"fa-check-circle text-success|fa-times text-danger", page)) == evaluated > 10


def test_nothing_outside_the_page_is_named(failed: tuple[Path, Validation]) -> None:
    page = failed[0].read_text()
    assert re.findall(r"(?:src|href)\s*=\s*[\"']?(?!#|data:)[^\"'\s>]+", page) == []
    assert re.findall(r"https?://|url\(|@import|<script", page) == []


def test_a_grid_s_name_is_text_not_markup(failed: tuple[Path, Validation]) -> None:
    page = failed[0].read_text()
    assert "<b>mine" not in page
    assert "<b>mine</b>.npz" in text_of(page)


def test_a_pass_and_a_wrong_axis_have_their_page_too(tmp_path: Path) -> None:
    pages: dict[str, tuple[dict[str, Any], str]] = {
        "good": ({}, "PASSED : 40 spectra obey the data contract"),
        "bad": ({"medium": "air"}, "wavelengths are in air, the contract wants vacuum"),
    }
    for name, (axis, said) in pages.items():
        validation = check(write_rows(tmp_path / f"{name}.parquet", synthetic_rows(), **axis), TINY)
        assert said in text_of(data_docs(TINY, name, validation, [], {}))


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[Path], tuple[str, set[str]]]:
    """Open a page in Chromium without network; give its text and the hosts that it asked for."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")

    def opened(page: Path) -> tuple[str, set[str]]:
        log = tmp_path / "net.json"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        offline = ["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", f"--log-net-log={log}"]
        done = subprocess.run(
            [BROWSER, *flags, *offline, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True
        )
        asked = re.findall(r'"url":"(?:https?|wss?)://([^/":]+)', log.read_text())
        return text_of(done.stdout), {host for host in asked if not ITS_OWN.search(host)}

    return opened


def test_chromium_shows_it_without_network(
    failed: tuple[Path, Validation], browse: Callable[[Path], tuple[str, set[str]]]
) -> None:
    said, asked = browse(failed[0])
    assert_readable(said, failed[1])
    assert asked == set()


def test_a_page_that_does_ask_is_noticed(tmp_path: Path, browse: Callable[[Path], tuple[str, set[str]]]) -> None:
    page = tmp_path / "asking.html"
    page.write_text('<img src="http://nowhere.invalid/x.png">')
    assert browse(page)[1] == {"nowhere.invalid"}
