"""Exposures of one star in one file, which become one fit with a velocity each."""

from collections.abc import Iterable, Iterator, Sequence

from stellar_emulator.cli.settings import Fit, Observations
from stellar_emulator.errors import InputError
from stellar_emulator.observed.orders import EXPOSURE
from stellar_emulator.observed.selection import ALL, parse_selection
from stellar_emulator.survey.flags import Flag
from stellar_emulator.survey.read import Observed
from stellar_emulator.survey.rows import LISTED
from stellar_emulator.survey.star_rows import Epochs


def joined_by_file(options: Observations) -> bool:
    """Whether the spectra of a file are fitted together: where all its exposures were asked for, or it was said."""
    if not isinstance(options, Fit) or options.epochs == "apart":
        return False
    if options.epochs == "file":
        return True
    chosen = parse_selection(options.select).wanted if options.select is not None else {}
    return chosen.get(EXPOSURE) == ALL


def of_one_star(spectra: Iterable[Observed], name: str) -> Iterator[Observed | Epochs]:
    """A file's spectra as one star's; a single one stays what it is."""
    seen = tuple(spectra)
    if len(seen) < 2:
        yield from seen
    else:
        yield Epochs(name, range(len(seen)), seen)


def notes_of(star: Epochs) -> tuple[str, ...]:
    """What to warn of: notes of the exposures, each once, and those that can't be used."""
    refused = [one for one in star.seen if isinstance(one, InputError)]
    notes = dict.fromkeys(note for one in star.used for note in one.notes)
    if not refused:
        return tuple(notes)
    return (*notes, f"{len(refused)} of {len(star.seen)} exposures can't be used, such as {refused[0]}")


def reading_of(star: Epochs) -> str:
    """What was read, in one line: of the first exposure."""
    first = star.used[0].reading if star.used else ""
    return f"{len(star.used)} exposures in one fit, a velocity each; the first: {first}"


def require_velocities_free(options: Fit) -> None:
    """Return if exposures can be fitted together as asked.

    Raises
    ------
    InputError
        If they can't: they have a velocity each, and one wavelength scale.
    """
    if options.radial_velocity is not None:
        raise InputError(
            f"--radial_velocity {options.radial_velocity:g} is one velocity, and exposures that are fitted together "
            "have one each: leave it out, or let --epochs apart fit each alone"
        )
    if options.stretch == "fit":
        raise InputError("--stretch fit is for single spectra: let --epochs apart fit each exposure alone")


def texts_of(cells: Sequence[dict[str, object]]) -> dict[str, list[object]]:
    """Columns of a flat table: numbers as they are, and values of each exposure as a text, with spaces between.

    Where stars stand beside spectra that were fitted alone, the latter have one epoch, and no values of each.
    """
    names = list(dict.fromkeys(name for row in cells for name in row))
    return {name: [_text(name, row) for row in cells] for name in names}


def _text(name: str, row: dict[str, object]) -> object:
    value = row.get(name)
    if isinstance(value, list):
        return " ".join(f"{one:.6g}" for one in value)
    if value is not None:
        return value
    if name == "epochs":
        return 0 if row["flags"] == Flag.NOT_FITTED else 1
    return "" if name.startswith(LISTED) else float("nan")
