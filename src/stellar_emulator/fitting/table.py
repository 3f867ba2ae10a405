"""Writes tables of labels by suffix: CSV, ECSV, FITS or Parquet, whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stellar_emulator.errors import InputError, SetupError

FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".fits": "fits", ".parquet": "parquet"}


def check_suffix(path: Path) -> None:
    """Refuse a file's name before long work is done for it.

    Raises
    ------
    InputError
        If its suffix is none that can be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: the suffix '{path.suffix}' is not known: give one of {', '.join(FORMATS)}")


def write_table(
    path: Path, columns: Mapping[str, Sequence[Any]], units: Mapping[str, str], metadata: Mapping[str, str]
) -> None:
    """Write columns of equal length; ``units`` by column and ``metadata`` go where the format has room for them.

    Raises
    ------
    InputError
        If the suffix is unknown.
    SetupError
        If the file can't be written.
    """
    check_suffix(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".parquet":
            _write_parquet(partial, columns, units, metadata)
        else:
            _write_astropy(partial, FORMATS[path.suffix.lower()], columns, units, metadata)
        partial.replace(path)
    except OSError as error:
        raise SetupError(f"{path} can't be written: {error.strerror or error}: choose another --output") from error
    finally:
        partial.unlink(missing_ok=True)


def _write_parquet(
    path: Path, columns: Mapping[str, Sequence[Any]], units: Mapping[str, str], metadata: Mapping[str, str]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    fields = [
        table.schema.field(name).with_metadata({"unit": units[name]} if name in units else {}) for name in columns
    ]
    pq.write_table(table.cast(pa.schema(fields, metadata=dict(metadata))), path)


def _write_astropy(
    path: Path, style: str, columns: Mapping[str, Sequence[Any]], units: Mapping[str, str], metadata: Mapping[str, str]
) -> None:
    from astropy.table import Table

    # FITS keywords have eight characters.
    noted = {name[:8] if style == "fits" else name: text for name, text in metadata.items()}
    table = Table({name: list(values) for name, values in columns.items()}, meta=noted)
    for name, unit in units.items():
        # FITS knows no dex, and astropy would warn of it by every column.
        if not (style == "fits" and unit == "dex"):
            table[name].unit = unit
    table.write(path, format=style, overwrite=True)
