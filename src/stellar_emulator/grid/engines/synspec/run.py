"""Real radiative transfer: builds SYNSPEC 54 from its source and runs it for one set of labels.

SYNSPEC (Hubeny & Lanz 2011, ascl:1109.022; 2017, arXiv:1706.01859) solves the transfer equation in LTE through a
plane-parallel atmosphere. It talks through Fortran units: numbered files in its working folder.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.errors import SetupError
from stellar_emulator.grid.engines.base import RunFailedError
from stellar_emulator.grid.engines.synspec import parts
from stellar_emulator.grid.engines.synspec.atmosphere import Atmosphere, atmosphere
from stellar_emulator.grid.engines.synspec.line_data import (
    ATOMIC,
    MOLECULES,
    PUBLISHED,
    TITANIUM_OXIDE,
    LineData,
)
from stellar_emulator.grid.engines.synspec.source_changes import SOURCE_CHANGES
from stellar_emulator.system.cache import cache_folder, filled

# -O3 was 2.7 times slower; -fno-automatic and -mcmodel=medium are what the code's own makefile needs.
COMPILER_FLAGS = ("-O2", "-march=native", "-fno-automatic", "-mcmodel=medium", "-std=legacy", "-w")

SETTINGS = {
    "imode": 0,
    "space": 0.04,
    "cutoff": 100.0,
    "line_strength_limit": 1.0e-4,
    "hydrogen_profiles": 2,
    "explicit_ions": "H, He",
}
"""What SYNSPEC is told besides labels and range: spacing and cutoff in Angstrom, Lemke's hydrogen tables (2)."""

ALPHA_ELEMENTS = ("o", "ne", "mg", "si", "s", "ca", "ti")
"""Those that [alpha/M] moves in C3K's structures, and so in the lines."""

SOLAR_ABUNDANCES = (
    "12.00 10.93 1.05 1.38 2.70 8.43 7.83 8.69 4.56 7.93 6.24 7.60 6.45 7.51 5.41 7.12 5.50 6.40 5.03 6.34 3.15 4.95 "
    "3.93 5.64 5.43 7.50 4.99 6.22 4.19 4.56 3.04 3.65 2.30 3.34 2.54 3.25 2.52 2.87 2.21 2.58 1.46 1.88 -9.99 1.75 "
    "0.91 1.57 0.94 1.71 0.80 2.04 1.01 2.18 1.55 2.24 1.08 2.18 1.10 1.58 0.72 1.42 -9.99 0.96 0.52 1.07 0.30 1.10 "
    "0.48 0.92 0.10 0.84 0.10 0.85 -0.12 0.85 0.26 1.40 1.38 1.62 0.92 1.17 0.90 1.75 0.65 -9.99 -9.99 -9.99 -9.99 "
    "-9.99 -9.99 0.02 -9.99 -0.54 -9.99 -9.99 -9.99 -9.99 -9.99 -9.99 -9.99"
)
"""log10 N/N(H) + 12 for Z = 1..99: Asplund, Grevesse, Sauval & Scott 2009 (ARA&A 47, 481), as in C3K."""

_SYMBOLS = (
    "h he li be b c n o f ne na mg al si p s cl ar k ca sc ti v cr mn fe co ni cu zn ga ge as se br kr rb sr y zr nb "
    "mo tc ru rh pd ag cd in sn sb te i xe cs ba la ce pr nd pm sm eu gd tb dy ho er tm yb lu hf ta w re os ir pt au "
    "hg tl pb bi po at rn fr ra ac th pa u np pu am cm bk cf es"
)
SYMBOLS = tuple(_SYMBOLS.split())
"""Of the elements, in small letters, in the order of their abundances."""

INTENSITY_ANGLES = 10
SMALLEST_MU = 0.1


@dataclass(frozen=True)
class Installation:
    """A compiled SYNSPEC with its data, and the line lists for one wavelength range."""

    binary: Path
    data: Path
    atomic: Path
    molecules: Path
    titanium_oxide: Path
    lines: LineData = PUBLISHED


@dataclass(frozen=True)
class Stellar:
    """What one run is computed for: K, dex (cgs), dex, km/s, dex; elements: [X/M] in dex, by symbol in small letters.

    An element given by itself has that ratio whatever ``alpha_m`` says; it changes opacities, not the structure.
    """

    teff: float
    logg: float
    m_h: float
    vmicro: float
    alpha_m: float = 0.0
    elements: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, float]:
        """[X/M] of every element that is not at 0, by symbol."""
        return {**dict.fromkeys(ALPHA_ELEMENTS if self.alpha_m else (), self.alpha_m), **self.elements}


@dataclass(frozen=True)
class Run:
    """One SYNSPEC computation.

    wavelength (Angstrom, air) and flux, continuum (Eddington flux, erg/s/cm^2/A): shape (points,), irregular;
    limb_darkening: linear coefficient fitted to the continuum's specific intensities.
    """

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    continuum: NDArray[np.float64]
    limb_darkening: float


def install(shortest: float, longest: float, lines: LineData = PUBLISHED) -> Installation:
    """Compile SYNSPEC and convert the line lists for an air range in Angstrom; later calls find them in the cache.

    Raises
    ------
    SetupError
        If gfortran is missing, the compilation fails or a part can't be fetched.
    """
    source = parts.fetch(parts.SYNSPEC)
    changes = hashlib.sha256(repr((SOURCE_CHANGES, COMPILER_FLAGS)).encode()).hexdigest()[:12]
    compiled = filled(cache_folder() / f"synspec54-{changes}", lambda made: _compile(source / "src", made))

    def convert(made: Path) -> None:
        made.mkdir()
        # Lines outside the range reach in with their wings.
        lines.write(made, shortest - 2.0, longest + 2.0)

    lists = filled(cache_folder() / f"lines-{shortest:.0f}-{longest:.0f}-{lines.suffix}", convert)
    return Installation(
        binary=compiled / "synspec54",
        data=source / "python" / "synspec" / "data",
        atomic=lists / ATOMIC,
        molecules=lists / MOLECULES,
        titanium_oxide=lists / TITANIUM_OXIDE,
        lines=lines,
    )


def _compile(source: Path, build: Path) -> None:
    if shutil.which("gfortran") is None:
        raise SetupError(
            "gfortran is needed to compile SYNSPEC and was not found. Install it with `apt-get install gfortran` "
            "(Debian, Ubuntu) or `conda install -c conda-forge gfortran`"
        )
    shutil.copytree(source, build)
    code = (build / "synspec54.f").read_text(errors="replace")
    for published, ours in SOURCE_CHANGES:
        if published not in code:
            raise SetupError(f"SYNSPEC's source lacks what is to be changed in it: {published.strip().splitlines()[0]}")
        code = code.replace(published, ours)
    (build / "synspec54.f").write_text(code)
    done = subprocess.run(
        ["gfortran", *COMPILER_FLAGS, "synspec54.f", "-o", "synspec54"],
        cwd=build,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(f"gfortran could not compile SYNSPEC: {done.stderr.strip()[-300:]}")


def synthesise(installation: Installation, stellar: Stellar, shortest: float, longest: float) -> Run:
    """Compute one spectrum between two air wavelengths in Angstrom.

    Raises
    ------
    RunFailedError
        If SYNSPEC stops, runs for more than ten minutes or returns a flux that is not finite and positive.
    """
    with tempfile.TemporaryDirectory(prefix=f"synspec-{os.getpid()}-", dir=_memory_folder()) as scratch:
        folder = Path(scratch)
        _write_inputs(folder, installation, stellar, shortest, longest)
        with (folder / "fort.5").open() as control, (folder / "log").open("w") as log:
            try:
                done = subprocess.run(
                    [installation.binary], cwd=folder, stdin=control, stdout=log, stderr=log, timeout=600, check=False
                )
            except subprocess.TimeoutExpired as expired:
                raise RunFailedError("SYNSPEC did not end within ten minutes") from expired
        if done.returncode != 0 or not (folder / "fort.7").is_file():
            last = (folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
            raise RunFailedError(f"SYNSPEC stopped with status {done.returncode}: {' '.join(last)}")
        return _read_outputs(folder)


@lru_cache(maxsize=1)
def _memory_folder() -> str | None:
    """Where scratch folders go: a memory file system, swept once of what killed processes left there."""
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir():
        return None
    for folder in shared_memory.glob("synspec-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)
    return str(shared_memory)


def _write_inputs(folder: Path, installation: Installation, stellar: Stellar, shortest: float, longest: float) -> None:
    structure = atmosphere(stellar.teff, stellar.logg, stellar.m_h, stellar.alpha_m)
    molecules = []
    if stellar.teff < installation.lines.molecules_below:
        molecules.append(installation.molecules)
    if stellar.teff < installation.lines.titanium_oxide_below:
        molecules.append(installation.titanium_oxide)
    (folder / "data").symlink_to(installation.data)
    (folder / "fort.19").symlink_to(installation.atomic)
    for unit, path in enumerate(molecules, start=20):
        (folder / f"fort.{unit}").symlink_to(path)
    (folder / "tas").write_text(f"ND= {len(structure.temperature)}\nIFMOL= 1\nTMOLIM= 8000.\n")
    (folder / "fort.5").write_text(_control(stellar))
    (folder / "fort.8").write_text(_model(stellar.teff, stellar.logg, structure))
    (folder / "fort.55").write_text(_request(stellar.vmicro, shortest, longest, len(molecules)))


def _control(stellar: Stellar) -> str:
    """Unit 5: labels, abundances (1: line opacity only, 2: explicit in the continuum) and the explicit ions."""
    log_abundances = np.array(SOLAR_ABUNDANCES.split(), dtype=float)
    log_abundances[2:] += stellar.m_h
    for symbol, ratio in stellar.ratios.items():
        log_abundances[SYMBOLS.index(symbol)] += ratio
    abundances = 10.0 ** (log_abundances - 12.0)
    atoms = "".join(f" {2 if z <= 2 else 1:2d} {abundance:e} 0\n" for z, abundance in enumerate(abundances, start=1))
    ions = (
        "   1   -1     1      0     0     1    ' H 1' 'data/hm.dat'\n"
        "   0    0     3      0\n"
        "   1    0     9      0     0     0    ' H 1' 'data/h1s.dat'\n"
        "   1    1     1      1     0     0    ' H 2' ' '\n"
        "   2    0    14      0     0     0    'He 1' 'data/he1.dat'\n"
        "   2    1    14      0     0     0    'He 2' 'data/he2.dat'\n"
        "   2    2     1      1     0     0    'He 3' ' '\n"
        "   0    0     0     -1     0     0    '    ' ' '\n"
    )
    labels = f" {stellar.teff:.3f} {stellar.logg:.4f}\n"
    return f"{labels} T  F\n 'tas'\n 50\n {len(abundances)}\n{atoms}*\n*\n*\n* ions\n{ions}*\n* end\n"


def _model(teff: float, logg: float, structure: Atmosphere) -> str:
    """Unit 8: the structure in Kurucz's form. SYNSPEC skips the first layer of the table, so it is written twice."""
    rows = [
        f"{mass:.8e} {temperature:.3f} {pressure:.8e} {electrons:.8e}\n"
        for mass, temperature, pressure, electrons in zip(
            structure.column_mass,
            structure.temperature,
            structure.gas_pressure,
            structure.electron_density,
            strict=True,
        )
    ]
    header = f"TEFF {teff:7.0f}  GRAVITY {logg:7.5f}  LTE \n" + 21 * "\n"
    return header + f"READ DECK6{len(rows) + 1:3d} RHOX,T,P,XNE \n" + rows[0] + "".join(rows)


def _request(vmicro: float, shortest: float, longest: float, molecular_lists: int) -> str:
    """Unit 55: what to compute (SYNSPEC User's Guide, section 4)."""
    units = " ".join(str(unit) for unit in range(20, 20 + molecular_lists))
    return (
        f" {SETTINGS['imode']} 0 -2\n 0 0 0 0\n 0 0 0 0 0\n 1 0 0 0 0\n {SETTINGS['hydrogen_profiles']} 0 0\n"
        f" {shortest:.3f} {longest:.3f} {SETTINGS['cutoff']} 0 {SETTINGS['line_strength_limit']:e} "
        f"{SETTINGS['space']}\n {molecular_lists} {units}\n {vmicro:.4f}\n {INTENSITY_ANGLES} {SMALLEST_MU} 1\n"
    )


def _read_outputs(folder: Path) -> Run:
    wavelength, flux = _columns(folder / "fort.7")
    continuum_wavelength, continuum = _columns(folder / "fort.17")
    if wavelength.size < 2 or not (np.isfinite(flux).all() and (flux > 0).all()):
        raise RunFailedError("SYNSPEC returned a flux that is not finite and positive")
    return Run(
        wavelength=wavelength,
        flux=flux,
        continuum=np.interp(wavelength, continuum_wavelength, continuum),
        limb_darkening=_limb_darkening(folder / "fort.18"),
    )


def _columns(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wavelength and value, ascending: neighbouring blocks of SYNSPEC's output share their end points."""
    table = np.fromstring(path.read_text().replace("D", "E"), sep=" ").reshape(-1, 2)
    wavelength, first = np.unique(table[:, 0], return_index=True)
    return wavelength, table[first, 1]


def _limb_darkening(path: Path) -> float:
    """Least-squares u in I(mu) / I(1) = 1 - u (1 - mu), over SYNSPEC's equidistant angles, averaged over points."""
    words = np.array(path.read_text().split(), dtype=float).reshape(-1, 2 + INTENSITY_ANGLES)
    intensities = words[:, 2:]
    mu = np.linspace(1.0, SMALLEST_MU, INTENSITY_ANGLES)
    dimming = 1.0 - intensities / intensities[:, :1]
    return float(np.mean(dimming @ (1.0 - mu) / np.sum((1.0 - mu) ** 2)))
