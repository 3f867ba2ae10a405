"""Redraws while a slider is dragged on the explorer's page, in headless Chromium, with a real mouse's events."""

import argparse
import math
import shutil
import time

from playwright.sync_api import Page, sync_playwright

from benchmarks.machine import spread, table
from benchmarks.serving import addressed

REPEATS = 7
PERIOD = 3.0
"""Seconds in which the mouse goes there and back."""

# Notes when each value was set, and by how much later its curve was drawn.
_WATCH = """label => {
  const moved = new Map();
  window.drawn = [];
  document.addEventListener("input", event => moved.set(event.target.valueAsNumber, performance.now()));
  new PerformanceObserver(list => {
    for (const mark of list.getEntriesByName("drawn"))
      window.drawn.push(mark.startTime - moved.get(mark.detail[label]));
  }).observe({ type: "mark" });
}"""


def main() -> None:
    """Serve one pair and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gaia_rvs", help="as for stellar-emulator explore")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each of the drags")
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        parser.error("no Chromium on this machine")
    errors: list[str] = []
    with (
        addressed("explore", options.model) as (_, address),
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=browser, args=["--no-sandbox"]) as chromium,
    ):
        page = chromium.new_page(viewport={"width": 1400, "height": 860})
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_function("() => performance.getEntriesByName('drawn').length")
        page.evaluate(_WATCH, "teff")
        _drag(page, options.seconds)
        alone, delays = _drags(page, options.seconds)
        page.get_by_role("button", name="Pin spectrum").click()
        compared, _ = _drags(page, options.seconds)
    delays = sorted(delays)
    median, most = delays[len(delays) // 2], delays[len(delays) * 9 // 10]
    rows = [
        ("redraws/s while a slider is dragged", spread(alone, 1), ">= 20"),
        ("the same beside a pinned spectrum, with their difference", spread(compared, 1), ">= 20"),
        ("from a move of the slider to its curve, median (ms)", f"{median:.0f} (90 %: {most:.0f})", ""),
        ("errors in the browser's console", str(len(errors)), "0"),
    ]
    print(table("Explorer, headless Chromium", rows))


def _drags(page: Page, seconds: float) -> tuple[list[float], list[float]]:
    """Redraws per second of some drags, and the delays in ms of all their redraws."""
    drags = [_drag(page, seconds) for _ in range(REPEATS)]
    return [len(delays) / taken for taken, delays in drags], [delay for _, delays in drags for delay in delays]


def _drag(page: Page, seconds: float) -> tuple[float, list[float]]:
    """Drag the slider of Teff to and fro; seconds that it took, and the delay in ms of each redraw meanwhile."""
    box = page.locator("#teff-range").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.evaluate("window.drawn.length = 0")
    start = time.perf_counter()
    while (taken := time.perf_counter() - start) < seconds:
        share = 0.5 + 0.45 * math.sin(2.0 * math.pi * taken / PERIOD)
        page.mouse.move(box["x"] + share * box["width"], middle)
    delays = page.evaluate("window.drawn")
    page.mouse.up()
    return taken, [float(delay) for delay in delays]


if __name__ == "__main__":
    main()
