"""The explorer's page in a real browser: what a person does with mouse and keyboard, and what is seen then."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from synthetic import GAIA
from tiny_models import served_app

from stars import SUN, pair_of, with_hull
from stellar_emulator.explorer.app import explorer_app

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PATIENCE = 60_000
"""Milliseconds after which something on the page counts as never coming."""


@dataclass
class Seen:
    """An open page, and what the browser noted since: errors, requests, and how many spectra were asked for at once."""

    page: Page
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    asking: int = 0
    most: int = 0

    def listen(self) -> None:
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._began(request.url))
        self.page.on("requestfinished", lambda request: self._ended(request.url))

    def _began(self, url: str) -> None:
        self.asked.append(url)
        self.asking += "/spectrum?" in url
        self.most = max(self.most, self.asking)

    def _ended(self, url: str) -> None:
        self.asking -= "/spectrum?" in url

    def wait_until_drawn(self, name: str, value: float) -> None:
        self.page.wait_for_function(
            "([name, value]) => performance.getEntriesByName('drawn').some(mark => mark.detail[name] === value)",
            arg=[name, value],
            timeout=PATIENCE,
        )

    def curve(self) -> bytes:
        return self.page.locator("#spectrum canvas").screenshot()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pair = pair_of()
    with served_app(explorer_app(pair.emulator, pair.validator)) as server:
        yield f"http://127.0.0.1:{server.port}/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    with (
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"]) as browser,
    ):
        yield browser


@pytest.fixture
def seen(browser: Browser, address: str) -> Iterator[Seen]:
    """The page as it opens; at the end there must have been no error, and no request to anybody else."""
    expect.set_options(timeout=PATIENCE)
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    seen = Seen(page)
    seen.listen()
    page.goto(address)
    seen.wait_until_drawn("teff", 5300)
    yield seen
    page.close()
    assert seen.errors == []
    assert all(url.startswith((address, "data:")) for url in seen.asked)
    assert seen.most == 1


def slider(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=f"{name}, slider")


def shown(page: Page) -> list[float]:
    """Labels as the number fields have them."""
    return [float(page.locator(f"#{name}-number").input_value()) for name in GAIA.label_names]


def set_number(page: Page, label: str, value: str) -> None:
    page.locator(f"#{label}-number").fill(value)
    page.locator(f"#{label}-number").press("Enter")


def test_dragging_a_slider_moves_the_curve(seen: Seen) -> None:
    before = seen.curve()
    box = slider(seen.page, "teff (K)").bounding_box()
    middle = box["y"] + box["height"] / 2
    seen.page.mouse.move(box["x"] + 0.15 * box["width"], middle)
    seen.page.mouse.down()
    for share in np.linspace(0.2, 0.9, 15):
        seen.page.mouse.move(box["x"] + share * box["width"], middle)
    seen.page.mouse.up()
    value = float(seen.page.locator("#teff-number").input_value())
    assert value > 10000
    seen.wait_until_drawn("teff", value)
    assert seen.curve() != before
    assert f"teff {value:g} K" in (seen.page.locator("#spectrum").get_attribute("aria-label") or "")


def test_everything_is_reached_and_moved_from_the_keyboard(seen: Seen) -> None:
    page = seen.page
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    for label in GAIA.label_names:
        assert {f"{label}-range", f"{label}-number"} <= set(reached)
    assert {"pin", "csv", "fits", "file", "view"} <= set(reached)
    slider(page, "vsini (km/s)").focus()
    page.keyboard.press("ArrowRight")
    seen.wait_until_drawn("vsini", 11)
    page.keyboard.press("End")
    seen.wait_until_drawn("vsini", 300)
    assert slider(page, "vsini (km/s)").get_attribute("aria-valuetext") == "300 km/s"
    before = seen.curve()
    page.get_by_label("Show").select_option(label="Ca II 8542, 8542.1")
    assert seen.curve() != before


@pytest.mark.parametrize(
    ("typed", "becomes", "said"),
    [
        ("20000", "15000", "teff = 20000 lies outside 3600 to 15000 K: set to 15000"),
        ("-1", "3600", "teff = -1 lies outside 3600 to 15000 K: set to 3600"),
        ("", "5300", "teff: give a number, 3600 to 15000 K; it stays 5300"),
        ("5777.5", "5777.5", ""),
    ],
)
def test_numbers_out_of_bounds_cannot_be_entered(typed: str, becomes: str, said: str, seen: Seen) -> None:
    set_number(seen.page, "teff", typed)
    expect(seen.page.locator("#teff-number")).to_have_value(becomes)
    expect(seen.page.get_by_role("status")).to_have_text(said)
    seen.wait_until_drawn("teff", float(becomes))
    asked = [float(parse_qs(urlsplit(url).query)["teff"][0]) for url in seen.asked if "/spectrum?" in url]
    assert all(3600 <= teff <= 15000 for teff in asked)


def test_inferred_labels_stand_beside_the_sliders(seen: Seen) -> None:
    set_number(seen.page, "teff", "6000")
    seen.wait_until_drawn("teff", 6000)
    pair = pair_of()
    found = pair.validator.labels(pair.emulator([shown(seen.page)]))[0]
    text = seen.page.get_by_role("row", name="teff (K)").get_by_role("cell").nth(1).inner_text()
    value, error = (float(part) for part in text.split("±"))
    assert abs(value - found[0]) <= 1
    assert error > 0


def test_a_pinned_spectrum_stays_for_comparison(seen: Seen) -> None:
    page = seen.page
    expect(page.locator("#difference")).to_be_hidden()
    page.get_by_role("button", name="Pin spectrum").click()
    expect(page.get_by_role("status")).to_contain_text("pinned: teff 5300 K, logg 3.5 dex")
    expect(page.locator("#difference")).to_be_visible()
    before = page.locator("#difference canvas").screenshot()
    set_number(page, "teff", "9000")
    seen.wait_until_drawn("teff", 9000)
    assert page.locator("#difference canvas").screenshot() != before
    page.get_by_role("button", name="Unpin").click()
    expect(page.locator("#difference")).to_be_hidden()


def test_an_upload_shows_its_labels_and_can_be_taken_over(seen: Seen, tmp_path: Path) -> None:
    page = seen.page
    for name, value in SUN.items():
        set_number(page, name, str(value))
    seen.wait_until_drawn("resolution", SUN["resolution"])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download FITS").click()
    download.value.save_as(tmp_path / "sun.fits")
    set_number(page, "teff", "12000")
    page.get_by_label("File").set_input_files(tmp_path / "sun.fits")
    expect(page.locator("#found-name")).to_contain_text("sun.fits: radial velocity")
    cells = page.locator("#labels tbody td.of-upload")
    expect(cells.first).to_be_visible()
    found = [float(text.split("±")[0]) for text in cells.all_inner_texts()]
    assert abs(found[0] - SUN["teff"]) < 1500
    page.get_by_role("button", name="Set sliders to its labels").click()
    assert abs(shown(page)[0] - found[0]) <= 1
    page.get_by_role("button", name="Remove").click()
    expect(cells.first).to_be_hidden()


def test_rubbish_is_refused_on_the_page_in_one_line(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "rubbish.fits").write_text("no spectrum at all")
    seen.page.get_by_label("File").set_input_files(tmp_path / "rubbish.fits")
    expect(seen.page.get_by_role("alert")).to_contain_text("rubbish.fits can't be read as FITS: ")
    assert len(seen.page.get_by_role("alert").inner_text().splitlines()) == 1
    expect(seen.page.locator("#found")).to_be_hidden()
    # Chromium's own note of an answer with status 400: the page's code has no error.
    assert [error for error in seen.errors if "400 (Bad Request)" not in error] == []
    seen.errors.clear()


def test_labels_beyond_the_hull_have_no_curve_but_a_message(browser: Browser) -> None:
    with served_app(with_hull("refuse")) as server:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"http://127.0.0.1:{server.port}/")
        inside = page.locator("#teff-number").input_value()
        inferred = page.locator("#labels tbody td:nth-child(3)").first
        expect(inferred).not_to_be_empty(timeout=PATIENCE)
        where = page.locator("h2", has_text="Labels").bounding_box()
        set_number(page, "teff", "4000")
        expect(page.get_by_role("status").first).to_contain_text("beyond the hull of the grid's runs", timeout=PATIENCE)
        expect(inferred).to_be_empty()
        expect(page.get_by_role("button", name="Pin spectrum")).to_be_disabled()
        assert page.locator("h2", has_text="Labels").bounding_box() == where
        set_number(page, "teff", inside)
        expect(inferred).not_to_be_empty(timeout=PATIENCE)
        expect(page.get_by_role("button", name="Pin spectrum")).to_be_enabled()
        page.close()
