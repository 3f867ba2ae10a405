"""Fits a user's observed spectra with a challenger and with the champion, for `gate.observed` to compare."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.axis import WavelengthAxis
from stellar_emulator.contract.hull import middle
from stellar_emulator.errors import InputError
from stellar_emulator.fitting.estimate import Fitted, Pair, fit_all
from stellar_emulator.fitting.model_error import ModelError
from stellar_emulator.fitting.preparation import Treatment
from stellar_emulator.fitting.protocols import library
from stellar_emulator.gate.observed import FittedTwice, Observed
from stellar_emulator.observed.interpret import Stated
from stellar_emulator.observed.readers.formats import Choice
from stellar_emulator.observed.spectrum import ObservedSpectrum
from stellar_emulator.promotion.candidates import RegisteredPair
from stellar_emulator.survey.chunks import Chunk, Dataset
from stellar_emulator.survey.read import Observed as Seen
from stellar_emulator.survey.read import read_chunk

MOST = 2000
"""Spectra that are fitted at most, evenly spaced over all."""

TOGETHER = 256
"""Spectra that are fitted side by side."""

DEGREE = 3
"""Of the continuum, as `fit` has it."""

OWN_WORDS = "files must state unit and medium themselves, as by a column wavelength_vac"
"""What promote, which has no options for it, wants of files that `fit` may be told of."""

T = TypeVar("T")


def observed_shift(
    dataset: Dataset, place: str, challenger: RegisteredPair, champion: RegisteredPair | None
) -> Observed:
    """Fit the spectra of a dataset, or `MOST` of them, as `fit` does by default, epochs of a star each alone; the
    error of the model is the emulators' own, if both state one.

    place: what the user calls it.

    Raises
    ------
    InputError
        If none can be used, or a pair answers what is no number.
    """
    from tqdm import tqdm

    seen, taken = _spectra(dataset, challenger.emulator.contract.wavelength)
    rivals = [challenger] if champion is None else [challenger, champion]
    treated = Treatment(None, DEGREE, error=ModelError(all(map(_states_errors, rivals))))
    pairs = [_ready(one) for one in rivals]
    if champion is not None and champion.pair == challenger.pair:
        pairs = pairs[:1]
    spectra = [one for one in seen if isinstance(one, ObservedSpectrum)]
    refused = [one for one in seen if isinstance(one, InputError)]
    fits: list[FittedTwice] = []
    with tqdm(total=len(spectra), unit=" spectra", desc="observed", mininterval=1.0) as progress:
        for first in range(0, len(spectra), TOGETHER):
            part = spectra[first : first + TOGETHER]
            found = [fit_all(part, pair, treated, {}) for pair in pairs]
            used, unused = twice_fitted(found[0], None if champion is None else found[-1])
            fits += used
            refused += unused
            progress.update(len(part))
    reason = str(refused[0]) if refused else ""
    if not fits:
        why = f"none of {taken} can be used ({OWN_WORDS}); the first: {reason}" if seen else "it holds no spectra"
        raise InputError(f"--observed {place}: {why}")
    settings = {
        "place": place,
        "digest": dataset.digest,
        "taken": taken,
        "fitted": len(fits),
        "unusable": len(refused),
        "first_reason": reason,
        "continuum": DEGREE,
        "model_error": "emulator" if treated.error.emulator else "none",
    }
    return Observed(tuple(fits), settings, champion is None)


def _ready(registered: RegisteredPair) -> Pair:
    """A pair that can fit. Raises `InputError` if its models answer what is no number, which ends least squares."""
    pair = Pair(registered.emulator, registered.judges[0], library(registered.emulator))
    flux = pair.library.flux
    if not (np.isfinite(flux).all() and np.isfinite(registered.judges[0].network(flux[:TOGETHER])).all()):
        raise InputError(
            f"{registered.pair} answers what is no number, and fits no observed spectrum: without --observed, the "
            "decision says where"
        )
    return pair


def twice_fitted(
    ours: Sequence[Fitted | InputError], theirs: Sequence[Fitted | InputError] | None
) -> tuple[list[FittedTwice], list[InputError]]:
    """Fits of the same spectra by challenger and champion, side by side, and why some have none by both.

    theirs: None without a champion.
    """
    fits: list[FittedTwice] = []
    refused: list[InputError] = []
    for our, their in zip(ours, ours if theirs is None else theirs, strict=True):
        if isinstance(our, Fitted) and isinstance(their, Fitted):
            fits.append(_alone(our) if theirs is None else _compared(our, their))
        elif isinstance(our, InputError):
            refused.append(our if isinstance(their, InputError) else InputError(f"with the challenger alone: {our}"))
        elif isinstance(their, InputError):
            refused.append(InputError(f"with the champion alone: {their}"))
    return fits, refused


def _alone(our: Fitted) -> FittedTwice:
    nothing = np.full(len(_quantities(our)), np.nan)
    used = our.spectrum.usable
    return FittedTwice(nothing, nothing, _chi_square(our, used), float("nan"), int(used.sum()) - _free(our))


def _compared(our: Fitted, their: Fitted) -> FittedTwice:
    # Each pair's velocity and spikes decide which pixels it uses.
    _, mine, others = np.intersect1d(our.spectrum.wavelength, their.spectrum.wavelength, return_indices=True)
    both = our.spectrum.usable[mine] & their.spectrum.usable[others]
    solution = their.solution
    return FittedTwice(
        _quantities(our) - _quantities(their),
        np.append(solution.error, solution.velocity_error),
        _chi_square(our, mine[both]),
        _chi_square(their, others[both]),
        int(both.sum()) - _free(our),
    )


def _quantities(fitted: Fitted) -> NDArray[np.float64]:
    """Labels and velocity, (quantities,)."""
    parameters = fitted.solution.parameters
    return np.append(parameters.labels, parameters.velocity)


def _free(fitted: Fitted) -> int:
    return len(_quantities(fitted)) + len(fitted.solution.parameters.continuum)


def _chi_square(fitted: Fitted, pixels: NDArray[np.bool_] | NDArray[np.intp]) -> float:
    """By flux errors alone: a pair that states larger errors of its own must not seem to fit better."""
    spectrum = fitted.spectrum
    residual = (spectrum.flux[pixels] - fitted.solution.model[pixels]) / spectrum.error[pixels]
    return float(np.sum(residual**2))


def _states_errors(pair: RegisteredPair) -> bool:
    """Whether an emulator states errors of its spectra; whether they are true is asked elsewhere."""
    try:
        error = pair.emulator.error(middle(pair.emulator.contract)[None])
    except (InputError, KeyError, ValueError, IndexError):
        return False
    return bool(np.isfinite(error).all())


def _spectra(dataset: Dataset, axis: WavelengthAxis) -> tuple[list[Seen], str]:
    """Some of the spectra, or why they can't be used, and how many they are of how many, in words."""
    chosen, units = list(chosen_chunks(dataset, MOST)), sum(chunk.size for chunk in dataset.chunks)
    seen, count = evenly(_read(chosen, axis), MOST)
    taken = f"{len(seen):,} spectr{'um' if len(seen) == 1 else 'a'}"
    whole = f"{count:,} spectra" if units <= MOST else f"{units:,}{dataset.unit}"
    return seen, taken if len(seen) == count and units <= MOST else f"{taken}, evenly spaced over {whole}"


def _read(chosen: Sequence[tuple[Chunk, NDArray[np.intp]]], axis: WavelengthAxis) -> Iterator[Seen]:
    for chunk, rows in chosen:
        parts = read_chunk(chunk, axis, Stated(), Choice())
        seen = (one for part in parts for one in part.seen)
        if chunk.stop:
            whole = list(seen)
            yield from (whole[row] for row in rows)
        else:
            yield from seen


def chosen_chunks(dataset: Dataset, most: int) -> Iterator[tuple[Chunk, NDArray[np.intp]]]:
    """The parts of a dataset in which evenly spaced rows or files lie, and which rows of each are meant."""
    wanted = _places(sum(chunk.size for chunk in dataset.chunks), most)
    begin = 0
    for chunk in dataset.chunks:
        own = wanted[(wanted >= begin) & (wanted < begin + chunk.size)] - begin
        begin += chunk.size
        if not len(own):
            continue
        if chunk.stop:
            first = chunk.first + int(own[0])
            yield replace(chunk, first=first, stop=chunk.first + int(own[-1]) + 1), own - own[0]
        else:
            yield replace(chunk, paths=tuple(chunk.paths[place] for place in own)), own


def evenly(items: Iterable[T], most: int) -> tuple[list[T], int]:
    """Items evenly spaced over all of them, ``most`` at most, and how many there are; twice as many are held."""
    kept: list[T] = []
    step, count = 1, 0
    for item in items:
        if count % step == 0:
            kept.append(item)
        count += 1
        if len(kept) == 2 * most:
            kept, step = kept[::2], 2 * step
    return [kept[place] for place in _places(len(kept), most)], count


def _places(count: int, most: int) -> NDArray[np.intp]:
    return np.linspace(0, max(count - 1, 0), min(count, most)).round().astype(np.intp)
