import io
import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import GAIA, TINY, synthetic_rows, write_rows

from stellar_emulator.errors import InputError, RefusedError
from stellar_emulator.grid.readers.user_grid import open_grid
from stellar_emulator.validation.check import check
from stellar_emulator.validation.verdict import require_passed

AXIS = TINY.wavelength


@pytest.fixture
def rows():
    return synthetic_rows()


def arrays_of(rows, contract=TINY):
    labels = dict(zip(contract.label_names, rows.labels.T, strict=True))
    return {"flux": rows.flux, "wavelength": contract.wavelength.pixels, **labels}


@pytest.fixture
def npz(tmp_path, rows):
    """Write the rows as NPZ, some arrays replaced (None: left out), and open it."""

    def opened(contract=TINY, **changes):
        arrays = {name: array for name, array in {**arrays_of(rows), **changes}.items() if array is not None}
        np.savez(tmp_path / "mine.npz", **arrays)
        return open_grid(tmp_path / "mine.npz", contract, tmp_path / "scratch")

    return opened


@pytest.fixture
def parquet(tmp_path, rows):
    """Write the rows as a user's Parquet, some columns replaced (None: left out), and open it."""

    def opened(metadata=None, groups=None, **changes):
        columns = {**arrays_of(rows), "flux": list(rows.flux), **changes}
        columns = {name: column for name, column in columns.items() if column is not None and name != "wavelength"}
        stated = {"wavelength_start": "5000.0", "wavelength_step": "0.2"} if metadata is None else metadata
        table = pa.table(columns).replace_schema_metadata(stated)
        pq.write_table(table, tmp_path / "mine.parquet", row_group_size=groups)
        return open_grid(tmp_path / "mine.parquet", TINY, tmp_path / "scratch")

    return opened


def assert_same(grid, rows):
    assert grid.rows == len(rows.flux)
    np.testing.assert_array_equal(grid.labels, rows.labels)
    np.testing.assert_array_equal(grid.run_id, rows.run_id)
    np.testing.assert_array_equal(grid.weight, rows.weight)
    np.testing.assert_array_equal(grid.take(np.arange(grid.rows)), rows.flux)
    assert check(grid, TINY).verdict.passed


def test_an_npz_becomes_the_same_grid(npz, rows):
    assert_same(npz(), rows)


def test_a_user_s_parquet_becomes_the_same_grid(parquet, rows):
    assert_same(parquet(), rows)


def test_both_give_the_digest_of_the_grid_itself(npz, parquet, tmp_path, rows):
    digest = write_rows(tmp_path / "own.parquet", rows).digest
    assert npz().digest == digest
    assert parquet().digest == digest


def test_the_project_s_own_file_is_opened_where_it_lies(tmp_path, rows):
    written = write_rows(tmp_path / "own.parquet", rows)
    opened = open_grid(written.path, TINY, tmp_path / "scratch")
    assert opened.path == written.path
    assert not (tmp_path / "scratch").exists()


def test_row_groups_too_large_to_stream_are_cut_up(tmp_path):
    rows = synthetic_rows(runs=520)
    written = write_rows(tmp_path / "own.parquet", rows, batch=2080)
    pq.write_table(pq.read_table(written.path), written.path, row_group_size=2080)
    opened = open_grid(written.path, TINY, tmp_path / "scratch")
    assert np.diff(opened.group_starts).max() == 512
    assert_same(opened, rows)


def test_own_columns_without_run_id_and_weight_keep_their_wavelengths(tmp_path, rows):
    written = write_rows(tmp_path / "own.parquet", rows, medium="air")
    pq.write_table(pq.read_table(written.path).drop_columns(["run_id", "weight"]), written.path)
    opened = open_grid(written.path, TINY, tmp_path / "scratch")
    np.testing.assert_array_equal(opened.wavelength, AXIS.pixels)
    assert opened.medium == "air"


def test_rows_equal_in_all_run_labels_form_one_run(npz, rows):
    order = np.random.default_rng(1).permutation(len(rows.flux))
    for name in ("run_id", "labels", "weight", "flux"):
        object.__setattr__(rows, name, getattr(rows, name)[order])
    grid = npz(**arrays_of(rows))
    pairs = set(zip(rows.run_id.tolist(), grid.run_id.tolist(), strict=True))
    assert len(pairs) == 10
    _, first = np.unique(grid.run_id, return_index=True)
    assert (np.diff(first) > 0).all()


def test_run_id_and_weight_of_the_user_are_kept(npz, parquet, rows):
    given = {"run_id": rows.run_id + 100, "weight": np.full(len(rows.flux), 2.0)}
    for grid in (npz(**given), parquet(**given)):
        np.testing.assert_array_equal(grid.run_id, given["run_id"])
        np.testing.assert_array_equal(grid.weight, given["weight"])


def test_labels_outside_the_box_weigh_one_and_are_refused(npz, rows):
    rows.labels[4, 0] = 9000.0
    grid = npz()
    assert grid.weight[4] == 1.0
    with pytest.raises(RefusedError, match=r"teff of 1 spectrum lies outside 4000 to 8000 K: row 4 \(run 1, 9000.0\)"):
        require_passed(check(grid, TINY).verdict, grid)


def test_single_precision_keeps_a_label_s_decimals(npz, rows):
    rows.labels[0, 1] = 0.1
    grid = npz(m_h=rows.labels[:, 1].astype(np.float32), wavelength=AXIS.pixels.astype(np.float32))
    assert grid.labels[0, 1] == 0.1
    assert check(grid, TINY).verdict.passed


def unknown_source(grid):
    return f"{grid.provenance['imported_from']} carries no provenance: where it comes from is unknown"


def test_the_medium_is_the_contract_s_unless_stated(npz, parquet):
    note = "the grid does not state its medium: taken as vacuum, as in contract tiny"
    for grid in (npz(), parquet()):
        assert grid.medium == "vacuum"
        assert check(grid, TINY).verdict.notes[:2] == (note, unknown_source(grid))
    for grid in (npz(medium=np.array("air")), parquet({"wavelength": str(AXIS.pixels.tolist()), "medium": "air"})):
        assert grid.medium == "air"
        assert check(grid, TINY).verdict.notes[0] == unknown_source(grid)
        with pytest.raises(InputError, match="wavelengths are in air, the contract wants vacuum"):
            require_passed(check(grid, TINY).verdict, grid)


def test_nanometres_are_named(npz, parquet):
    metadata = {"wavelength_start": "500.0", "wavelength_step": "0.02"}
    for grid in (npz(wavelength=AXIS.pixels / 10), parquet(metadata)):
        with pytest.raises(InputError, match=r"wavelengths 500-515.52 look like nm: multiply by 10"):
            require_passed(check(grid, TINY).verdict, grid)


def test_a_gap_in_a_user_s_parquet_is_named_by_its_row(parquet, rows):
    teff = [None, *rows.labels[1:, 0]]
    flux = [*rows.flux[:6], None, *rows.flux[7:]]
    assert check(parquet(teff=teff, flux=flux), TINY).verdict.summary().splitlines() == [
        "teff of 1 spectrum is missing or NaN: row 0 (run 0, nan)",
        "flux of 1 spectrum holds NaN or infinite pixels: row 6 (run 2, 777 at 5000)",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flux": None}, r"lacks the array\(s\) flux; it has wavelength, teff, m_h, vsini"),
        ({"vsini": None}, r"lacks the array\(s\) vsini"),
        ({"Teff": np.ones(40)}, "unknown array Teff: did you mean teff"),
        (
            {"age": np.ones(40)},
            "unknown array age: Known are flux, wavelength, teff, m_h, vsini, run_id, weight, medium",
        ),
        ({"flux": np.ones(40)}, r"array flux has shape \(40,\), but must be \(spectra, pixels\)"),
        ({"teff": np.full((40, 1), 5000.0)}, r"array teff has shape \(40, 1\), but must be \(spectra,\)"),
        ({"teff": np.full(39, 5000.0)}, "teff has 39 values for 40 spectra"),
        ({"run_id": np.arange(39)}, "run_id has 39 values for 40 spectra"),
        ({"wavelength": AXIS.pixels[:-1]}, "flux has 777 pixels, but wavelength has 776"),
        ({"teff": np.array(["hot"] * 40)}, "array teff holds <U3, not numbers"),
        ({"teff": np.ones(40, dtype=bool)}, "array teff holds bool, not numbers"),
        ({"flux": np.ones((40, 777), dtype=complex)}, "array flux holds complex128, not numbers"),
        ({"flux": np.ones((0, 777))}, r"holds no spectrum: array flux has shape \(0, 777\)"),
        ({"run_id": np.linspace(0, 1, 40)}, "run_id must be whole numbers"),
        ({"medium": np.array("water")}, "medium is 'water', but must be air or vacuum"),
        ({"teff": np.array([object()] * 40)}, "teff holds pickled Python objects, which are never read"),
    ],
)
def test_a_wrong_array_is_refused(npz, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        npz(**changes)
    assert not (tmp_path / "scratch").exists()


def test_a_contract_of_other_labels_is_refused(npz):
    with pytest.raises(InputError, match=r"lacks the array\(s\) logg, vmicro, resolution"):
        npz(contract=GAIA)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flux": None}, r"lacks the column\(s\) flux"),
        ({"m_h": None}, r"lacks the column\(s\) m_h"),
        ({"snr": np.ones(40)}, "unknown column snr"),
        ({"flux": np.ones(40)}, "column flux is double, but must be a list of numbers in every row"),
        ({"flux": [["a"]] * 40}, "column flux holds string, not numbers"),
        ({"teff": ["hot"] * 40}, "column teff holds string, not numbers"),
        (
            {"flux": [np.ones(777 - (row == 30)) for row in range(40)]},
            "flux of row 30 has 776 pixels, but there are 777",
        ),
        ({"run_id": [None, *range(39)]}, "run_id has 1 missing values"),
        ({"metadata": {}}, "says nothing of its wavelengths: add wavelength"),
        ({"metadata": {"wavelength": "5000 to 5155"}}, "its metadata give no numbers for the wavelengths"),
    ],
)
def test_a_wrong_column_is_refused(parquet, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        parquet(**changes)
    assert not list(tmp_path.glob("scratch/*"))


def test_an_empty_parquet_is_refused(tmp_path, parquet):
    parquet()
    path = tmp_path / "mine.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(InputError, match="holds no spectrum"):
        open_grid(path, TINY, tmp_path / "scratch")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.npz", b"teff,logg\n5000,4.5\n", "is no NPZ file: save it with numpy.savez"),
        ("cut.npz", b"PK\x03\x04" + bytes(100), "was cut short"),
        ("pickle.npz", b"\x80\x04K\x01.", "is no NPZ file"),
        ("single.npz", b"\x93NUMPY\x01\x00", "is a single NumPy array"),
        ("empty.npz", b"", "is an empty file"),
        ("text.parquet", b"teff,logg\n5000,4.5\n", "is no Parquet file, was cut short or can't be read"),
        ("empty.parquet", b"", "is an empty file"),
        ("table.csv", b"teff,logg\n", "has the suffix '.csv': give a .parquet or .npz file"),
        ("noname", b"teff,logg\n", "has the suffix '': give a .parquet or .npz file"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_grid(tmp_path / name, TINY, tmp_path / "scratch")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, npz, parquet, share):
    npz()
    parquet()
    for name, message in (("mine.npz", "was cut short"), ("mine.parquet", "is no Parquet file, was cut short")):
        path = tmp_path / name
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=message):
            open_grid(path, TINY, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_damaged_contents_are_refused_and_nothing_is_left(tmp_path, npz, parquet):
    npz()
    parquet()
    path = tmp_path / "mine.parquet"
    pq.write_table(pq.read_table(path), path, write_page_checksum=True)
    for name in ("mine.npz", "mine.parquet"):
        path = tmp_path / name
        content = bytearray(path.read_bytes())
        content[2000:3000] = bytes(1000)
        path.write_bytes(bytes(content))
        with pytest.raises(InputError, match=rf"{name} is damaged"):
            open_grid(path, TINY, tmp_path / "other")
    assert not list(tmp_path.glob("other/*"))


def test_a_member_that_is_no_array_is_refused(tmp_path, rows):
    path = tmp_path / "mine.npz"
    np.savez(path, **{name: array for name, array in arrays_of(rows).items() if name != "teff"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("teff", "5000 5100")
    with pytest.raises(InputError, match="teff is no NumPy array"):
        open_grid(path, TINY, tmp_path / "scratch")


def test_an_array_that_claims_more_than_it_holds_is_refused(tmp_path, rows):
    path = tmp_path / "mine.npz"
    np.savez(path, **{name: array for name, array in arrays_of(rows).items() if name != "teff"})
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**14,)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("teff.npy", header.getvalue())
    with pytest.raises(InputError, match=r"array teff (doesn't fit in memory|is damaged)"):
        open_grid(path, TINY, tmp_path / "scratch")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist: check the path"):
        open_grid(tmp_path / "none.npz", TINY, tmp_path / "scratch")
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    with pytest.raises(InputError, match="is an empty folder"):
        open_grid(folder, TINY, tmp_path / "scratch")
    (folder / "part-0.parquet").touch()
    with pytest.raises(InputError, match="is a folder: name the Parquet or NPZ file itself"):
        open_grid(folder, TINY, tmp_path / "scratch")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_named(tmp_path):
    path = tmp_path / "mine.npz"
    path.write_bytes(b"PK")
    path.chmod(0)
    with pytest.raises(InputError, match="can't be read: Permission denied"):
        open_grid(path, TINY, tmp_path / "scratch")
