"""Imports a foreign grid into a folder: intrinsic spectra or a Parquet grid, and the data contract drafted from it."""

import csv
import io
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stellar_emulator.contract.contract import Contract, parse_contract
from stellar_emulator.contract.medium import Medium
from stellar_emulator.errors import InputError
from stellar_emulator.grid.engines.intrinsic import bin_averages
from stellar_emulator.grid.importing import parts, plan
from stellar_emulator.grid.importing.darkening import Darkening
from stellar_emulator.grid.importing.draft import SEED, Draft, drafted
from stellar_emulator.grid.importing.normalise import RULES, normalised
from stellar_emulator.grid.nodes import node_weights
from stellar_emulator.grid.readers.find import BROKEN, Found, find_members, reason_of
from stellar_emulator.grid.readers.foreign import ForeignSpectrum, LabelSource, Member, Stated, ascending
from stellar_emulator.grid.source import INTRINSIC, SYNTHESISED
from stellar_emulator.grid.store import Rows, write_grid
from stellar_emulator.system.files import write_file
from stellar_emulator.system.lock import locked, make_folder
from stellar_emulator.version import VERSION

CONTRACT, MEMBERS, PARTS = "contract.yaml", "spectra.csv", "parts"
"""Names in the output folder: the drafted contract, the list of all spectra, and the parts of an unfinished import."""


LOOKED_AT = 5
"""Spectra that are read to tell which wavelengths a grid has."""


@dataclass(frozen=True)
class Wanted:
    """What a user asks of an import; None leaves it to the files.

    format: by its name; name: of the contract; medium: of the files' wavelengths; span: first and last wavelength in
    Angstrom; resolution: smallest and largest that the emulator should know; rule: of normalisation, see
    `normalise.RULES`; darkening: of the limb, for intrinsic spectra without their own.
    """

    labels: LabelSource
    darkening: Darkening
    format: str | None = None
    name: str | None = None
    medium: Medium | None = None
    span: tuple[float, float] | None = None
    resolution: tuple[float, float] | None = None
    rule: str | None = None
    command: str = ""


@dataclass(frozen=True)
class Imported:
    """What an import made. spectra: how many are in the folder; failed: those that are not, with the reason."""

    folder: Path
    contract: Contract
    spectra: int
    failed: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """Everything that decides what becomes of each spectrum."""

    members: tuple[Member, ...]
    names: list[str]
    axes: plan.Axes
    rule: str
    own_darkening: bool
    digest: str


def import_grid(sources: Sequence[Path], wanted: Wanted, output: Path) -> Imported:
    """Read all spectra of some files and folders and write them to ``output``; a killed import goes on.

    Damaged files and spectra are listed with the reason, the others are imported.

    Raises
    ------
    InputError
        If the format, the medium or the labels can't be told, labels don't tell spectra apart, no spectrum can be used,
        or the folder holds another import.
    """
    found = find_members(sources, wanted.format, wanted.labels)
    names, fixed, lacking = plan.common_labels(found.members)
    members, differing = _alike([member for member in found.members if member.key not in lacking])
    stated = members[0].stated
    medium, notes = _medium(wanted.medium, stated, found)
    first = _typical(members)
    made = _planned(members, names, first, medium, wanted)
    notes += [*stated.notes, f"flux: {RULES[made.rule]}", *_constant(fixed)]
    if not found.format.tried:
        notes.append(
            f"the reader of format {found.format.name} was built from the documented form, not tried on a file"
        )
    if stated.resolution is not None:
        notes.append(f"the spectra are broadened to a resolution of {stated.resolution:g} already")
    make_folder(output)
    with locked(output):
        return _carried_out(output, found, made, wanted, notes, {**found.broken, **lacking, **differing})


def _medium(given: Medium | None, stated: Stated, found: Found) -> tuple[Medium, list[str]]:
    if given is not None:
        against = f", against what the format says ({stated.medium})" if stated.medium not in (None, given) else ""
        return given, [f"medium {given}: as --medium says{against}"]
    if stated.medium is None:
        raise InputError(
            f"nothing states whether the wavelengths of format {found.format.name} are in air or in vacuum: give "
            "--medium air or --medium vacuum"
        )
    return stated.medium, []


def _constant(fixed: dict[str, float]) -> list[str]:
    return [f"{name} = {value:g} in all spectra: noted here, not a label" for name, value in fixed.items()]


def _alike(members: list[Member]) -> tuple[tuple[Member, ...], dict[str, str]]:
    """Members that state what the first one does, and the reasons why the others are left out."""
    first = members[0].stated
    alike = tuple(member for member in members if member.stated == first)
    return alike, {
        member.key: "states another medium, normalisation or resolution than the first spectrum"
        for member in members
        if member.stated != first
    }


def _typical(members: Sequence[Member]) -> ForeignSpectrum:
    """One of several spectra, spread over all, whose wavelengths most of them have: one may be cut short.

    Raises
    ------
    InputError
        If no spectrum at all can be read.
    """
    found: list[ForeignSpectrum] = []
    reasons = []
    step = max(1, len(members) // LOOKED_AT)
    for member in [*members[::step], *members]:
        if len(found) == LOOKED_AT:
            break
        try:
            found.append(ascending(member.key, member.read()))
        except BROKEN as error:
            reasons.append(f"{member.key}: {reason_of(error)}")
    if not found:
        raise InputError(f"none of {len(members)} spectra can be read; the first: {reasons[0]}")
    kinds = [_ends(one) for one in found]
    return max(found, key=lambda one: (kinds.count(_ends(one)), len(one.flux)))


def _ends(spectrum: ForeignSpectrum) -> tuple[int, float, float]:
    wavelength = spectrum.wavelength
    return len(wavelength), float(wavelength[0]), float(wavelength[-1])


def _planned(
    members: tuple[Member, ...], names: list[str], first: ForeignSpectrum, medium: Medium, wanted: Wanted
) -> _Plan:
    stated = members[0].stated
    if plan.is_intrinsic(first, stated.resolution, wanted.resolution):
        axes = plan.intrinsic_axes(first.wavelength, medium, wanted.span, wanted.resolution)
    elif wanted.resolution is not None:
        why = "broadened already" if stated.resolution is not None else "sampled too coarsely"
        raise InputError(f"--resolution is for intrinsic spectra, and these are {why}: leave it out")
    else:
        axes = plan.given_axes(first.wavelength, medium, wanted.span)
    rule = wanted.rule or (
        "maxima" if not stated.normalised else "continuum" if first.continuum is not None else "given"
    )
    if rule == "continuum" and first.continuum is None:
        raise InputError("--normalise continuum: these files hold no continuum: choose maxima, or given")
    decides = [
        [[member.key, dict(member.labels)] for member in members],
        axes.wavelength.model_dump(mode="json"),
        None if axes.intrinsic is None else axes.intrinsic.model_dump(mode="json"),
        [axes.resolution, axes.fastest, rule, wanted.darkening.provenance],
    ]
    return _Plan(members, names, axes, rule, first.limb_darkening is not None, parts.plan_digest(decides))


def _carried_out(
    output: Path, found: Found, made: _Plan, wanted: Wanted, notes: list[str], left_out: dict[str, str]
) -> Imported:
    state = parts.opened_state(output, made.digest)
    name = wanted.name or _name_of(found.members[0].key)
    draft = _draft(
        made, name, found, wanted, notes, (0.0, 1.0), np.array([list(m.labels.values()) for m in made.members[:0]])
    )
    provisional = parse_contract(drafted(draft), "the drafted contract")
    provenance = _provenance(made, found, provisional, wanted, notes, state)
    folder = output / (INTRINSIC if made.axes.intrinsic is not None else PARTS)
    if not state.done:
        folder.mkdir(exist_ok=True)
        _read_all(output, folder, made, provisional, wanted, provenance, state)
    nodes = np.array([[m.labels[n] for n in made.names] for m in made.members if m.key not in state.failed])
    draft = _draft(made, name, found, wanted, notes, (state.lowest, state.highest), nodes)
    contract = parse_contract(drafted(draft), "the drafted contract")
    if made.axes.intrinsic is None and not state.done:
        batches = _rows(folder, list(state.parts), contract, nodes)
        axis = contract.wavelength
        write_grid(output / SYNTHESISED, contract, batches, axis.pixels, axis.medium, provenance)
    failed = {**left_out, **state.failed}
    write_file(output / MEMBERS, _listed(made, failed))
    write_file(output / CONTRACT, contract.source)
    state.done = True
    parts.save_state(output, state)
    if made.axes.intrinsic is None:
        shutil.rmtree(folder, ignore_errors=True)
    return Imported(output, contract, len(nodes), failed, tuple(notes))


def _draft(
    made: _Plan,
    name: str,
    found: Found,
    wanted: Wanted,
    notes: Sequence[str],
    flux: tuple[float, float],
    nodes: NDArray[np.float64],
) -> Draft:
    if not nodes.size:
        nodes = np.array([[member.labels[name] for name in made.names] for member in made.members])
    given = made.axes.intrinsic is not None and made.axes.fastest is not None
    constant = wanted.darkening.constant if given and not made.own_darkening else None
    return Draft(
        name,
        f"{'Intrinsic spectra' if made.axes.intrinsic is not None else 'Spectra'} of {found.format.source}, imported.",
        made.names,
        nodes,
        made.axes,
        flux,
        constant,
        notes,
    )


def _provenance(
    made: _Plan, found: Found, contract: Contract, wanted: Wanted, notes: list[str], state: parts.State
) -> dict[str, Any]:
    files = list(dict.fromkeys(member.key.split(" ")[0] for member in made.members))
    return {
        "contract": contract.name,
        "seed": SEED,
        "engine": f"import of {found.format.source}",
        "format": found.format.name,
        "command": wanted.command,
        "package_version": VERSION,
        "files": len(files),
        "first_file": files[0],
        "normalisation": RULES[made.rule],
        "limb_darkening": "from the files' intensities" if made.own_darkening else wanted.darkening.provenance,
        "notes": notes,
        "runs": state.next,
        "shards": dict(state.parts) if made.axes.intrinsic is not None else {},
        "failed": {},
        "known_limits": [],
    }


def _read_all(
    output: Path,
    folder: Path,
    made: _Plan,
    contract: Contract,
    wanted: Wanted,
    provenance: dict[str, Any],
    state: parts.State,
) -> None:
    """Read all spectra that are not done; write a part, then the state, whenever enough are there."""
    pixels = contract.wavelength.count if contract.intrinsic is None else len(contract.intrinsic.wavelength)
    most, batch = parts.runs_in_part(pixels), parts.Batch()
    failed: dict[str, str] = {}
    with tqdm(total=len(made.members), initial=state.next, desc="import", unit="spectra", mininterval=1.0) as bar:
        for number in range(state.next, len(made.members)):
            member = made.members[number]
            try:
                flux, darkening = _converted(member, contract, made, wanted)
            except BROKEN as error:
                failed[member.key] = reason_of(error)
            else:
                batch.numbers.append(number)
                batch.labels.append(np.array([member.labels[name] for name in made.names]))
                batch.flux.append(flux)
                batch.limb_darkening += [] if darkening is None else [darkening]
            bar.update()
            if len(batch.numbers) == most or number == len(made.members) - 1:
                _write(output, folder, contract, batch, provenance, state, number + 1, failed)
                batch = parts.Batch()
    if not state.parts:
        first = next(iter(state.failed.items()))
        raise InputError(f"none of {len(made.members)} spectra can be used; the first: {first[0]}: {first[1]}")


def _write(
    output: Path,
    folder: Path,
    contract: Contract,
    batch: parts.Batch,
    provenance: dict[str, Any],
    state: parts.State,
    until: int,
    failed: dict[str, str],
) -> None:
    if batch.numbers:
        number = len(state.parts)
        if contract.intrinsic is not None:
            name = parts.write_intrinsic_part(folder, contract, SEED, number, batch, provenance)
            state.parts[name] = provenance["shards"][name]
        else:
            state.parts[parts.write_part(folder, number, batch)] = ""
        state.lowest = min(state.lowest, *(float(flux.min()) for flux in batch.flux))
        state.highest = max(state.highest, *(float(flux.max()) for flux in batch.flux))
    state.next = until
    state.failed |= failed
    parts.save_state(output, state)


def _converted(
    member: Member, contract: Contract, made: _Plan, wanted: Wanted
) -> tuple[NDArray[np.float32], float | None]:
    """Normalised flux of a spectrum on the contract's axis, and its limb darkening if the shards hold it."""
    spectrum = ascending(member.key, member.read())
    flux = normalised(spectrum, made.rule)
    if not np.isfinite(flux).all():
        raise InputError("its normalised flux is not finite")
    if contract.intrinsic is None:
        return _on_pixels(spectrum.wavelength, flux, contract), None
    edges = contract.intrinsic.edges
    if spectrum.wavelength[0] > edges[0] or spectrum.wavelength[-1] < edges[-1]:
        raise InputError(
            f"it covers {spectrum.wavelength[0]:.6g} to {spectrum.wavelength[-1]:.6g} A, not all of {edges[0]:.6g} to "
            f"{edges[-1]:.6g} A"
        )
    binned = bin_averages(spectrum.wavelength, flux, edges).astype(np.float32)
    most = np.iinfo(np.uint16).max * contract.intrinsic.flux_per_count
    if binned.max() > most or binned.min() < 0.0:
        raise InputError(f"its normalised flux, {binned.min():.3g} to {binned.max():.3g}, lies outside 0 to {most:.3g}")
    darkening = spectrum.limb_darkening if made.own_darkening else wanted.darkening.of(member.labels)
    return binned, darkening


def _on_pixels(wavelength: NDArray[np.float64], flux: NDArray[np.float64], contract: Contract) -> NDArray[np.float32]:
    axis = contract.wavelength
    part = plan.same_axis(axis, wavelength)
    if part is not None:
        return flux[part].astype(np.float32)
    edges = axis.edges
    if wavelength[0] > axis.pixels[0] or wavelength[-1] < axis.pixels[-1]:
        raise InputError(
            f"it covers {wavelength[0]:.6g} to {wavelength[-1]:.6g} A, not all of {axis.start:.6g} to {axis.stop:.6g} A"
        )
    return bin_averages(wavelength, flux, np.clip(edges, wavelength[0], wavelength[-1])).astype(np.float32)


def _rows(folder: Path, names: list[str], contract: Contract, nodes: NDArray[np.float64]) -> Iterator[Rows]:
    weight, first = node_weights(contract, nodes), 0
    for numbers, labels, flux in parts.read_parts(folder, names):
        part = slice(first, first + len(numbers))
        yield Rows(numbers, labels, weight[part], flux)
        first = part.stop


def _listed(made: _Plan, failed: dict[str, str]) -> str:
    """All spectra as CSV: run number, file, labels, and the reason why one is not there."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["run_id", "spectrum", *made.names, "left_out_because"])
    for number, member in enumerate(made.members):
        reason = failed.get(member.key, "")
        table.writerow(["" if reason else number, member.key, *(member.labels[name] for name in made.names), reason])
    for key, reason in failed.items():
        if key not in {member.key for member in made.members}:
            table.writerow(["", key, *("" for _ in made.names), reason])
    return text.getvalue()


def _name_of(key: str) -> str:
    """A name for a contract, from that of a file."""
    stem = key.split(" ")[0].partition(".")[0].lower()
    found = re.sub(r"[^a-z0-9]+", "_", stem).strip("_")
    return found if re.match("[a-z]", found) else f"grid_{found}"
