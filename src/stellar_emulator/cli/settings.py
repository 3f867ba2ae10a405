"""Typed settings of every verb: the one source of each option's name, type, default and help.

Parser, MLproject's parameters and the page on options follow from these classes. Nothing heavy may be imported here.
"""

import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from stellar_emulator.cli import values
from stellar_emulator.shipped.resources import DEFAULT, OBSERVED

SPEED_LIMIT = 30000.0
"""Largest radial velocity that a user may give, in km/s."""

MAXIMUM_SNR = 1e9
"""Largest signal-to-noise ratio by pixel that a user may give."""

MAXIMUM_RESOLVING_POWER = 1e7

MAXIMUM_DETECTOR = 100.0
"""Largest width in Angstrom of a detector\'s pixels."""

_OPTION = "option"


@dataclass(frozen=True)
class Option:
    """One option of a verb; the default is written as a user would write it, and ``kind`` reads such words."""

    name: str
    default: str
    kind: Callable[[str], Any]
    help: str
    positional: bool = False
    many: bool = False


def option(default: str, kind: Callable[[str], Any], text: str, *, positional: bool = False, many: bool = False) -> Any:
    """Make a field that is an option. many: its value is a tuple of what ``kind`` reads from each word."""
    told = {"default": default, "kind": kind, "help": text, "positional": positional, "many": many}
    return field(default_factory=lambda: (kind(default),) if many else kind(default), metadata={_OPTION: told})


def options_of(settings: type["Settings"]) -> tuple[Option, ...]:
    """The options of a verb, in the order of its help."""
    return tuple(Option(one.name, **one.metadata[_OPTION]) for one in fields(settings) if _OPTION in one.metadata)


_WAYS = (
    "one that comes with the package, a folder, a registered name, its alias, version or 'latest', or an address such "
    "as models:/NAME/3"
)


def _contract() -> Any:
    return option(DEFAULT, values.path, "data contract, a YAML file or the name of one that comes with the package")


def _whose() -> Any:
    text = "data contract to whose registered models an alias or version refers: a YAML file or a name"
    return option(DEFAULT, values.path, text)


def _output(folder: str) -> Any:
    return option(folder, values.path, "folder for the files written")


def _seed(text: str) -> Any:
    return option("1", values.seed, text)


def _grid() -> Any:
    return option("embedded", values.words, "'embedded', a folder that synthesize wrote, or a Parquet or NPZ file")


def _pair(positional: bool = False, default: str = DEFAULT) -> Any:
    return option(default, values.words, f"pair of models: {_WAYS}", positional=positional)


def _model(default: str) -> Any:
    return option(default, values.words, f"model: {_WAYS}", positional=True)


def _host() -> Any:
    return option("127.0.0.1", values.words, "address to listen on; 0.0.0.0 lets other machines in")


def _port(default: str) -> Any:
    return option(default, values.port, "port to listen on; 0 takes any free one")


def _names() -> Any:
    text = "further host names by which it may be asked, by commas, as behind a proxy; others are refused"
    return option("none", values.host_names, text)


def _mask() -> Any:
    text = "parts to leave out, with commas between: lines of the contract such as 'Ca II', ranges such as 8615-8627"
    return option("none", values.words, text)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of every verb. command: the words that a user would type to call it."""

    command: str = "stellar-emulator"


@dataclass(frozen=True, kw_only=True)
class Labelled(Settings):
    """Settings of a verb that takes any other option, such as ``--teff 5777``, as a label of its model.

    given: these options by name, as text.
    """

    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Synthesize(Settings):
    """Compute a grid of spectra with SYNSPEC."""

    contract: Path = _contract()
    output: Path = _output("output/synthesize")
    seed: int | None = option("contract", values.or_none("contract", values.seed), "seed of the label sequence")
    runs: int = option("1024", values.count, "radiative-transfer computations; a longer grid extends a shorter one")
    realisations: int | None = option(
        "contract", values.or_none("contract", values.count), "broadened spectra of each run"
    )
    workers: int | None = option("cores", values.or_none("cores", values.count), "worker processes of a local cluster")
    scheduler: str = option("local", values.words, "'local', or the address of a running Dask scheduler")
    line_data: str | None = option(
        "contract",
        values.or_none("contract", values.either("published", "calibrated")),
        "'contract', or 'published', line lists as their authors left them, or 'calibrated' on reference stars",
    )


@dataclass(frozen=True, kw_only=True)
class Import(Settings):
    """Import a grid of another code and draft its data contract; after a stop, the same command goes on."""

    sources: tuple[Path, ...] = option(
        "grid",
        values.path,
        "files and folders of the grid, or folders of earlier imports to merge; one word may list several",
        positional=True,
        many=True,
    )
    format: str | None = option(
        "content",
        values.or_none("content", values.words),
        "format by its name, or 'content', by which it is recognised",
    )
    output: Path = _output("output/import")
    name: str | None = option("file", values.or_none("file", values.words), "name of the contract; 'file': the first's")
    labels: str | None = option(
        "file",
        values.or_none("file", values.words),
        "labels of files that state none: 'file', their names; a CSV table with a column file; or a pattern such as "
        "'t{teff}_g{logg}'",
    )
    medium: Literal["air", "vacuum"] | None = option(
        "file",
        values.or_none("file", values.either("air", "vacuum")),
        "medium of wavelengths: 'air', 'vacuum', or 'file', as the files state it",
    )
    range: tuple[float, float] | None = option(
        "all", values.or_none("all", values.interval), "wavelengths to keep in Angstrom, such as 8400-8800, or 'all'"
    )
    resolution: tuple[float, float] | None = option(
        "sampling",
        values.or_none("sampling", values.interval),
        "smallest and largest resolution that models of intrinsic spectra should know, such as 5000-20000; "
        "'sampling': what the spectra allow",
    )
    normalise: str | None = option(
        "file",
        values.or_none("file", values.either("given", "continuum", "maxima")),
        "'given': flux is normalised; 'continuum': over the files' own; 'maxima': over a pseudo-continuum; 'file': the "
        "first of these that the files allow",
    )
    limb_darkening: str | None = option(
        "constant",
        values.or_none("constant", values.words),
        "of intrinsic spectra without intensities: a linear coefficient, a CSV table by labels with u or Claret's a1 "
        "to a4, or 'constant', 0.6",
    )


@dataclass(frozen=True, kw_only=True)
class Validate(Settings):
    """Check a grid against its data contract, and set bad spectra aside if asked to."""

    contract: Path = _contract()
    output: Path = _output("output/validate")
    seed: int = _seed("recorded with the run; the check itself draws no random numbers")
    grid: str = _grid()
    on_violation: str = option(
        "fail",
        values.either("fail", "quarantine"),
        "'fail', or 'quarantine': write good.parquet and quarantined.parquet, which together are the grid",
    )
    against: str | None = option(
        "none",
        values.or_none("none", values.words),
        f"'none', or an emulator to hold the spectra against, which warns by band and label: {_WAYS}",
    )


@dataclass(frozen=True, kw_only=True)
class Train(Settings):
    """Check a grid, train emulator and validator, measure their accuracies and register both."""

    contract: Path = _contract()
    output: Path = _output("output/train")
    seed: int = _seed("seed of initial weights and of the order of batches")
    grid: str = _grid()
    preset: str = option(
        "grid",
        values.words,
        "networks and training: 'default', 'learned', 'few', 'few_learned', 'paper', 'smoke', a file, or 'grid': the "
        "one for such a grid",
    )
    networks: str = option(
        "new", values.words, f"'new', or an emulator whose networks serve this contract too, on its own axis: {_WAYS}"
    )


@dataclass(frozen=True, kw_only=True)
class Tune(Settings):
    """Search for networks with Keras Tuner and write the best preset; after a stop, the same command goes on."""

    contract: Path = _contract()
    output: Path = _output("output/tune")
    seed: int = _seed("seed of the search, of initial weights and of the order of batches")
    grid: str = _grid()
    target: str = option(
        "chain",
        values.either("chain", "autoencoder", "label_network"),
        "what is searched: 'chain' (both networks, fine-tuned), 'autoencoder' or 'label_network'",
    )
    algorithm: str = option(
        "hyperband",
        values.either("hyperband", "bayesian", "random"),
        "Keras Tuner's oracle: 'hyperband', 'bayesian' or 'random'",
    )
    trials: int = option(
        "60", values.count, "largest number of trials; the first two are the presets paper and default"
    )
    epochs: int = option("400", values.count, "largest number of epochs of a trial's last fit")
    minutes: float = option("300", values.minutes, "minutes for the whole search")
    trial_minutes: float = option(
        "5", values.minutes, "minutes for the training of one trial, over which learning rates fall"
    )
    workers: int = option("1", values.count, "worker processes on this machine; a chief leads two or more")


@dataclass(frozen=True, kw_only=True)
class Evaluate(Settings):
    """Measure a registered emulator and validator on a grid."""

    contract: Path = _contract()
    output: Path = _output("output/evaluate")
    seed: int = _seed("seed of the noise added to spectra")
    emulator: str = option("latest", values.words, f"emulator: {_WAYS}")
    validator: str = option("paired", values.words, "validator, named likewise, or 'paired': the emulator's own")
    grid: str = _grid()


@dataclass(frozen=True, kw_only=True)
class Promote(Settings):
    """Judge a registered pair on the gate set and make it champion if it passes."""

    contract: Path = _contract()
    output: Path = _output("output/promote")
    emulator: str = option(
        "latest", values.words, "registered version of the emulator: its number, alias, 'latest' or address"
    )
    validator: str = option(
        "paired", values.words, "validator, named likewise, or 'paired': the one that the emulator names"
    )
    grid: str = option(
        "gate",
        values.words,
        "spectra on which the pair is judged: 'gate', the contract's own, or a grid as for train; without a gate "
        "in the contract, the grid that the pair was trained on",
    )
    dry_run: bool = option("no", values.yes_or_no, "'yes': decide and record the decision, but change nothing else")
    fresh_runs: int | None = option(
        "none", values.or_none("none", values.count), "further runs of the gate's sequence, computed now with SYNSPEC"
    )
    observed: Path | None = option(
        "none",
        values.or_none("none", values.path),
        "observed spectra, a folder or files as for fit: how far labels move on them from champion to challenger",
    )


@dataclass(frozen=True, kw_only=True)
class Rollback(Settings):
    """Make the previous champion pair champion again."""

    contract: Path = _contract()
    output: Path = _output("output/rollback")
    reason: str = option("unstated", values.words, "reason, for those who read the history")


@dataclass(frozen=True, kw_only=True)
class History(Settings):
    """Print all decisions on a registered emulator, and which pair serves now."""

    contract: Path = _contract()
    verify: bool = option("no", values.yes_or_no, "'yes': check that no decision was changed after it was written")


@dataclass(frozen=True, kw_only=True)
class Serve(Settings):
    """Answer requests for spectra over HTTP."""

    model: str = _model("champion")
    contract: Path = _whose()
    host: str = _host()
    port: int = _port("8000")
    names: tuple[str, ...] = _names()


@dataclass(frozen=True, kw_only=True)
class Explore(Settings):
    """Show spectra in the browser, drawn live while labels are moved."""

    model: str = _pair(positional=True)
    contract: Path = _whose()
    host: str = _host()
    port: int = _port("8001")
    names: tuple[str, ...] = _names()


@dataclass(frozen=True, kw_only=True)
class Generate(Labelled):
    """Generate one spectrum, or the spectra of a whole table of labels."""

    model: str = _model(DEFAULT)
    contract: Path = _whose()
    output: Path = option("output/generate/spectra.fits", values.path, "file to write: .fits, .parquet, .csv or .png")
    labels: Path | None = option(
        "none", values.or_none("none", values.path), "table, one row a spectrum: .csv, .parquet, .fits or .ecsv"
    )


@dataclass(frozen=True, kw_only=True)
class Observations(Settings):
    """Settings of the verbs that read observed spectra."""

    files: tuple[Path, ...] = option(
        "spectrum.fits",
        values.path,
        "files of spectra, told apart by what they hold; one word may list several, by spaces or commas",
        positional=True,
        many=True,
    )
    model: str = _pair(default=OBSERVED)
    validator: str = option(
        "same", values.words, "'same': the validator of the pair; or another one, named as for --model"
    )
    contract: Path = _whose()
    output: Path = option("labels.csv", values.path, "table to write: .csv, .ecsv, .fits or .parquet")
    unit: str | None = option(
        "file",
        values.or_none("file", values.words),
        "of wavelengths: 'file' says, or Angstrom, nm, um, 'log10(Angstrom)' or the like",
    )
    medium: Literal["air", "vacuum"] | None = option(
        "file",
        values.or_none("file", values.either("air", "vacuum")),
        "medium of wavelengths: 'air', 'vacuum', or 'file', as the file states it",
    )
    snr: float | None = option(
        "file",
        values.or_none("file", values.number(0.0, MAXIMUM_SNR)),
        "signal-to-noise ratio by pixel, for files without errors; 'file' estimates it from their scatter",
    )
    select: str | None = option(
        "default",
        values.or_none("default", values.words),
        "spectrum of a file: 'default', or its hdu=, row=, exposure= or aperture=, such as 'hdu=COADD_R' or 'row=2'; "
        "'exposure=all' takes each, and fits them together",
    )
    form: str | None = option(
        "content", values.or_none("content", values.words), "what a FITS file is: its 'content' tells, or a form's name"
    )
    flags: str = option(
        "use", values.either("use", "ignore"), "masks that files hold: 'use' leaves flagged pixels out, or 'ignore'"
    )
    resolving_power: float | None = option(
        "file",
        values.or_none("file", values.number(1.0, MAXIMUM_RESOLVING_POWER)),
        "of the spectrograph, wavelength over FWHM: 'file' says, if it does",
    )
    broaden: bool = option(
        "no", values.yes_or_no, "'yes': broaden spectra sharper than the model's largest resolution to it"
    )
    radial_velocity: float | None = option(
        "measure",
        values.or_none("measure", values.number(-SPEED_LIMIT, SPEED_LIMIT)),
        "'measure', or a velocity in km/s; 0 for spectra at rest",
    )
    continuum: int | None = option(
        "none", values.or_none("none", values.degree), "degree of a polynomial to fit, or 'none'"
    )
    mask: str = _mask()


def _table(path: str) -> Any:
    return option(path, values.path, "table to write: .csv, .ecsv, .fits or .parquet")


@dataclass(frozen=True, kw_only=True)
class Infer(Observations):
    """Infer labels of observed spectra with the validator."""

    output: Path = _table("output/infer/labels.csv")


@dataclass(frozen=True, kw_only=True)
class Fit(Observations, Labelled):
    """Fit labels of observed spectra by least squares through the emulator; labels that are given are held fixed."""

    output: Path = option(
        "output/fit/labels.csv",
        values.path,
        "table to write: .csv, .ecsv, .fits or .parquet; or, without a suffix, a folder to fill, which survives kills",
    )
    continuum: int | None = option(
        "3", values.or_none("none", values.degree), "degree of a polynomial to fit, or 'none'"
    )
    prior: str | None = option(
        "none",
        values.or_none("none", values.words),
        "labels measured otherwise, such as 'teff=5800+-100, logg=4.4+-0.1'",
    )
    model_error: str = option(
        "stars",
        values.words,
        "besides flux errors: 'none'; 'emulator', its error on test spectra; 'stars', also the physics' error, where "
        "it was measured for the contract; or a file of its numbers",
    )
    detector: float | None = option(
        "file",
        values.or_none("file", values.number(-1e-9, MAXIMUM_DETECTOR)),
        "width in Angstrom of the pixels from which the flux was interpolated, whose noise neighbours share; 0: none; "
        "'file': as Gaia's archive has them, else as residuals tell",
    )
    stretch: str = option(
        "test",
        values.either("test", "fit"),
        "of the wavelength scale: 'test' warns where it is found, 'fit' fits it too",
    )
    tellurics: str = option(
        "keep",
        values.either("keep", "mask"),
        "'mask': leave out the Earth's water lines below 8550 A, at rest on Earth",
    )
    epochs: str = option(
        "together",
        values.either("together", "apart", "file"),
        "of stars with several spectra, told by source_id and transit_id in surveys, in files by --select "
        "exposure=all: 'together' in one fit, or 'apart'; 'file': all spectra of a file are one star's",
    )
    chunk: int = option("512", values.count, "spectra that are fitted and kept at once, if --output is a folder")
    workers: int | None = option(
        "cores", values.or_none("cores", values.count), "worker processes of a local cluster, if --output is a folder"
    )
    scheduler: str = option(
        "local", values.words, "'local', or the address of a running Dask scheduler, if --output is a folder"
    )
    figures: Path | None = option(
        "none", values.or_none("none", values.path), "folder for a PNG of each spectrum and its fit"
    )
    track: bool = option(
        "no", values.yes_or_no, "'yes': log a survey as a run of MLflow, with its monitor, if --output is a folder"
    )


@dataclass(frozen=True, kw_only=True)
class Precision(Labelled):
    """Print how precisely labels can be measured at one point of the label box (Cramer-Rao limits)."""

    model: str = _pair()
    contract: Path = _whose()
    snr: float = option("100", values.number(0.0, MAXIMUM_SNR), "signal-to-noise ratio by pixel")
    continuum: int = option("3", values.degree, "degree of the continuum in the last column")
    mask: str = _mask()


@dataclass(frozen=True)
class Verb:
    """One verb, carried out by the function ``run`` of its ``module`` in `stellar_emulator.cli`.

    settings: the argument of that function. extra: the extra of the package that the verb needs, if any.
    interrupted: what is kept and what is lost when a user stops the command.
    """

    settings: type[Settings]
    extra: str | None = None
    interrupted: str = "nothing is lost, as nothing was to be kept"

    @property
    def name(self) -> str:
        return self.settings.__name__.lower()

    @property
    def module(self) -> str:
        """The verb's module; a word of Python's own can't be one."""
        return f"{self.name}_grid" if keyword.iskeyword(self.name) else self.name

    @property
    def help(self) -> str:
        return (self.settings.__doc__ or "").strip()

    @property
    def options(self) -> tuple[Option, ...]:
        return options_of(self.settings)

    @property
    def labels(self) -> bool:
        """Whether it takes any other option as a label of its model; only the model knows their names."""
        return issubclass(self.settings, Labelled)

    def read(self, options: Mapping[str, Any], command: str, given: Mapping[str, str]) -> Settings:
        """Make the settings from values by the options' names."""
        told = {one.name: tuple(options[one.name]) if one.many else options[one.name] for one in self.options}
        if self.labels:
            told["given"] = dict(given)
        return self.settings(command=command, **told)


_GOES_ON = "the same command goes on where it stopped"
_ANEW = "what was measured so far is lost: the same command begins anew"
_FOLDER_GOES_ON = (
    "what a folder holds is kept, and the same command goes on where it stopped; of a table, the labels found so far "
    "are lost, and --output is as it was"
)
_DECIDED = "a decision that was kept is carried out by the next promote or rollback, else nothing was decided"
_READ_IN_VAIN = (
    "the labels found so far are lost, and --output is as it was: the same command begins anew; give it fewer files at "
    "a time to lose less"
)

VERBS = (
    Verb(Synthesize, "synthesis", _GOES_ON),
    Verb(Import, "grids", _GOES_ON),
    Verb(Validate, "validation", _ANEW),
    Verb(Train, "train", _GOES_ON),
    Verb(Tune, "train", _GOES_ON),
    Verb(Evaluate, "train", _ANEW),
    Verb(Promote, "validation", _DECIDED),
    Verb(Rollback, "registry", _DECIDED),
    Verb(History, "registry"),
    Verb(Serve, "registry"),
    Verb(Explore),
    Verb(Generate, None, "the spectra made so far are lost, and --output is as it was: the same command begins anew"),
    Verb(Infer, None, _READ_IN_VAIN),
    Verb(Fit, None, _FOLDER_GOES_ON),
    Verb(Precision),
)
