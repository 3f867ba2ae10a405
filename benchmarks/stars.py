"""Stars with literature labels against SYNSPEC itself: ``python -m benchmarks.stars FOLDER``.

Labels are fitted through SYNSPEC, run by run, so that what is measured is the physics and not an emulator: as contract
gaia_rvs does it (four labels, lines as published), and as rvs_stars does it (six labels, calibrated lines).
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.computed_star import CA_II, LONGEST, Computer, Fitted, Laying, fitted, nearest
from benchmarks.machine import Table, table
from benchmarks.star_files import Star, read_folder
from stellar_emulator.errors import InputError
from stellar_emulator.grid.engines.synspec.line_data import PUBLISHED, calibrated

MEASURED = ("teff", "logg", "m_h")

RESOLUTIONS = {
    "gaia_dr3": 11500.0,
    "isis_clusters": 13000.0,
    "mike": 25000.0,
    "tres": 44000.0,
    "low_resolution": 2800.0,
}
"""First guesses by set; others have about 8,000."""

SCALES: dict[str, tuple[int, float]] = {"isis_clusters": (4, 8705.0), "ids_clusters": (2, LONGEST)}
"""Degree of the error of wavelength scales by set, and Angstrom up to which it is so smooth: all eight spectra of
isis_clusters leap by 50 km/s near 8775 A and by 300 before 8880; beyond 8705 A fringes of some per cent add to that."""

CONTINUA = {"isis_clusters": 7}
"""Degree of the continuum by set; others have 4."""

CA_MASK = 1.0
"""Half width left out round each Ca II line, where [M/H] lets other lines be seen, in FWHM of the profile: the cores,
which are not in LTE. The wings beside them tell gravity: HD 176650 (3.02 +- 0.15) has 3.0 with them, 2.67 without."""

MASKED_FROM = -1.2


@dataclass(frozen=True)
class Way:
    """One way to fit: line data, free labels, and priors by label (mean, standard deviation)."""

    name: str
    computer: Computer
    free: tuple[str, ...]
    priors: dict[str, tuple[float, float]]


def ways() -> list[Way]:
    """Before and after."""
    four = ("teff", "logg", "m_h", "vmicro")
    # Broad, as any survey would set them: most stars lie within.
    priors = {"alpha_m": (0.1, 0.2), "n_m": (0.2, 0.4), "vmicro": (1.5, 0.5)}
    return [
        Way("before", Computer(PUBLISHED), four, {"vmicro": priors["vmicro"]}),
        Way("after", Computer(calibrated()), (*four, "alpha_m", "n_m"), priors),
    ]


def main() -> None:
    """Print a row a star, and bias and RMS by class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="labels.csv and the spectra that it names")
    parser.add_argument("--sets", default="gaia_dr3,indo_us,deimos,tres,isis_clusters", help="of the table, by commas")
    parser.add_argument("--ways", default="before,after", help="by commas")
    options = parser.parse_args()
    chosen = [star for star in read_folder(options.folder) if _wanted(star, options.sets.split(","))]
    fits = {way.name: _fits(chosen, way) for way in ways() if way.name in options.ways.split(",")}
    print(table("Stars against SYNSPEC, labels fitted", *_by_star(chosen, fits)))
    print(table("Bias and RMS by class", *_by_class(chosen, fits)))
    print(table("Where computed spectra differ from all stars", *_by_wavelength(fits)))


def _wanted(star: Star, sets: Sequence[str]) -> bool:
    known = "m_h" in star.labels and (star.cluster != "" or "teff" in star.labels)
    return star.group in sets and star.use in ("test", "calibrate") and known


def _fits(stars: Sequence[Star], way: Way) -> dict[str, Fitted]:
    found = {}
    for star in stars:
        try:
            found[_key(star)] = fit_star(star, way)
        except (InputError, ValueError) as error:
            print(f"{star.name}: not fitted: {error}", flush=True)
            continue
        fit = found[_key(star)]
        shown = ", ".join(f"{name} {value:.4g}" for name, value in fit.labels.items())
        print(
            f"{way.name}: {star.name}: {shown}; rms {fit.overlay.rms():.4f}, wings {fit.overlay.nuisance.wings:.2f}",
            flush=True,
        )
    return found


def fit_star(star: Star, way: Way) -> Fitted:
    """Fit one star, from the middle of its class and not from its literature labels."""
    how = laying_of(star)
    mask = CA_MASK * CA_II[1] / how.resolution if star.labels["m_h"] > MASKED_FROM else 0.0
    # Where Ca II is all that is known, the profile's wings and its own can't be told apart.
    how = replace(how, ca_mask=mask, noise_floor=0.005, wings=mask > 0.0)
    fixed = {name: 0.0 for name in ("alpha_m", "n_m") if name not in way.free}
    start = nearest(star, way.computer, [{**start, **fixed} for start in _starts(star)], how)
    return fitted(star, way.computer, way.free, start, how, way.priors)


def laying_of(star: Star) -> Laying:
    """What the star's set is known to need."""
    degree, longest = SCALES.get(star.group, (0, LONGEST))
    return Laying(
        degree=CONTINUA.get(star.group, 4),
        resolution=RESOLUTIONS.get(star.group, 8000.0),
        scale_degree=degree,
        longest=longest,
    )


def _starts(star: Star) -> list[dict[str, float]]:
    """The same few for all stars of a class: what is computed there serves all of them."""
    if "metal-poor" in star.kind:
        base = {"vmicro": 1.8, "alpha_m": 0.35, "n_m": 0.2}
        giants = [(4500.0, 1.2, -1.6), (4800.0, 1.7, -2.8)]
        places = giants if "giant" in star.kind else [(5000.0, 4.5, -1.7), (6200.0, 4.1, -1.9)]
    elif star.cluster or "giant" in star.kind:
        base = {"vmicro": 1.5, "alpha_m": 0.05, "n_m": 0.2}
        places = [(4250.0, 1.7, -0.1), (4750.0, 2.7, -0.1)]
    else:
        base = {"vmicro": 1.2, "alpha_m": 0.05, "n_m": 0.0}
        places = [(5100.0, 4.4, -0.1), (5700.0, 4.3, -0.1), (6250.0, 4.2, -0.2)]
    return [{"teff": teff, "logg": logg, "m_h": m_h, **base} for teff, logg, m_h in places]


def _key(star: Star) -> str:
    return f"{star.group}/{star.name}"


def _by_star(stars: Sequence[Star], fits: dict[str, dict[str, Fitted]]) -> Table:
    rows = []
    for star in stars:
        literature = " / ".join(_shown(name, star.labels.get(name)) for name in (*MEASURED, "alpha_m"))
        cells = [f"{star.name} ({star.group})", f"{star.use}, {star.quality}", literature]
        for fit in (by_star.get(_key(star)) for by_star in fits.values()):
            if fit is None:
                cells += ["", "", ""]
                continue
            cells.append(" / ".join(_shown(name, fit.labels[name]) for name in (*MEASURED, "alpha_m", "n_m", "vmicro")))
            cells.append(f"{fit.overlay.rms():.4f}, {fit.overlay.nuisance.wings:.2f}")
            cells.append(f"{fit.overlay.at_ca(0.0, 0.4):+.3f}, {fit.overlay.at_ca(1.0, 1.5):+.3f}")
        rows.append(tuple(cells))
    heads = [
        head
        for name in fits
        for head in (
            f"{name}: Teff / logg / [M/H] / [alpha/M] / [N/M] / vmicro",
            "rms, share in wings",
            "Ca II: core, wing",
        )
    ]
    return rows, ("star", "use", "literature", *heads)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if name == "teff" else f"{value:.2f}"


def _class_of(star: Star) -> str:
    if star.cluster:
        return f"{star.cluster} giants"
    metals = "[Fe/H] < -1.2" if star.labels["m_h"] < -1.2 else "FGK"
    return f"{metals}, {star.use}" + ("" if star.quality in ("good", "fair") else ", poor labels")


def _by_class(stars: Sequence[Star], fits: dict[str, dict[str, Fitted]]) -> Table:
    rows = []
    for kind in sorted({_class_of(star) for star in stars}):
        members = [star for star in stars if _class_of(star) == kind]
        for way, by_star in fits.items():
            cells = [kind, way, str(sum(_key(star) in by_star for star in members))]
            for name in MEASURED:
                off = [
                    by_star[_key(star)].labels[name] - star.labels[name]
                    for star in members
                    if _key(star) in by_star and name in star.labels
                ]
                figures = (np.mean(off), np.sqrt(np.mean(np.square(off)))) if off else ()
                cells.append(" / ".join(f"{value:+.0f}" if name == "teff" else f"{value:+.2f}" for value in figures))
            rows.append(tuple(cells))
    return rows, ("class", "way", "stars", *(f"{name}: bias / RMS" for name in MEASURED))


def _by_wavelength(fits: dict[str, dict[str, Fitted]]) -> Table:
    """The places where the mean residual over all stars is largest, in bins of an Angstrom."""
    edges = np.arange(8380.0, 8881.0, 1.0)
    rows: list[tuple[str, ...]] = []
    for way, by_star in fits.items():
        sums, counts = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
        for fit in by_star.values():
            used = np.isfinite(fit.overlay.residual)
            place = np.digitize(fit.overlay.rest[used], edges) - 1
            inside = (place >= 0) & (place < len(sums))
            mean = np.bincount(place[inside], fit.overlay.residual[used][inside], len(sums))
            many = np.bincount(place[inside], minlength=len(sums))
            sums += np.divide(mean, many, out=np.zeros_like(mean), where=many > 0)
            counts += many > 0
        means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts >= 3)
        worst = np.argsort(-np.abs(means))[:12]
        places = ", ".join(f"{edges[one]:.0f} ({means[one]:+.3f})" for one in worst)
        rows.append((way, f"{np.sqrt(np.mean(means[counts >= 3] ** 2)):.4f}", places))
    return rows, ("way", "rms of the mean residual", f"worst Angstroms, Ca II at {CA_II[0]}, {CA_II[1]}, {CA_II[2]}")


if __name__ == "__main__":
    main()
