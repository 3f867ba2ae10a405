"""Writes tables of labels by suffix: CSV, ECSV, FITS or Parquet, complete or not at all."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stellar_emulator.writers.file import check_output, whole

FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".fits": "fits", ".parquet": "parquet"}


def write_table(
    path: Path, columns: Mapping[str, Sequence[Any]], units: Mapping[str, str], metadata: Mapping[str, str]
) -> None:
    """Write columns of equal length; ``units`` by column and ``metadata`` are included if the format allows it.

    Raises
    ------
    InputError
        If the suffix is unknown, or another process is writing the file.
    SetupError
        If the file can't be written.
    """
    check_output(path, FORMATS)
    suffix = path.suffix.lower()
    columns = {name: [_written(value, suffix) for value in values] for name, values in columns.items()}
    with whole(path) as partial:
        if suffix == ".parquet":
            _write_parquet(partial, columns, units, metadata)
        else:
            _write_astropy(partial, FORMATS[suffix], columns, units, metadata)


def _written(value: Any, suffix: str) -> Any:
    """A value as a format can hold it: names of files are bytes of any kind, texts are UTF-8, and FITS is ASCII."""
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text.encode("ascii", "backslashreplace").decode("ascii") if suffix == ".fits" else text


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
        # FITS has no unit dex, and astropy would warn of it for every column.
        if not (style == "fits" and unit == "dex"):
            table[name].unit = unit
    if style == "fits":
        table.write(path, format=style, overwrite=True)
        return
    # astropy would write a text in the locale's encoding, which may lack a letter of a file's name.
    text = io.StringIO()
    table.write(text, format=style)
    path.write_text(text.getvalue(), encoding="utf-8")
