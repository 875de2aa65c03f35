"""Files: round trips, and that no file, however damaged or hostile, is more than a clear error."""

from __future__ import annotations

import io
import os
import stat
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given

import stridiag
from stridiag import FileFormatError, StridiagMatrix
from stridiag.testing.strategies import matrices

EXAMPLE = stridiag.random((6, 5), (-2, 0, 1), links=3, rng=0)
MEMBERS = ("format", "version", "shape", "offsets", "link_rows", "link_columns", "values")


def members_of(matrix):
    S = matrix.structure
    return {
        "format": np.array("stridiag matrix"),
        "version": np.array(1),
        "shape": np.array(S.shape, np.int64),
        "offsets": np.array(S.offsets, np.int64),
        "link_rows": S.link_rows,
        "link_columns": S.link_columns,
        "values": matrix.values,
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "A.npz"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Return the bytes of a good file."""
    path = tmp_path_factory.mktemp("good") / "A.npz"
    EXAMPLE.save(path)
    return path.read_bytes()


def refused(path, match=None):
    with pytest.raises(FileFormatError, match=match) as caught:
        stridiag.load(path)
    assert str(path) in str(caught.value), "the message names the file"


# ---------------------------------------------------------------------- round trips


@given(matrices())
def test_round_trip(tmp_path_factory, A):
    path = tmp_path_factory.getbasetemp() / "round-trip.npz"
    stridiag.save(path, A)
    B = StridiagMatrix.load(str(path))
    assert B.equals(A)
    assert not B.values.flags.writeable
    assert B.values.flags.aligned


@pytest.mark.parametrize("batch", [(2, 3), (0,), (1, 1, 1)])
def test_batches(path, batch):
    A = EXAMPLE.with_values(np.random.default_rng(0).standard_normal((*batch, EXAMPLE.nnz)))
    A.save(path)
    assert stridiag.load(path).equals(A)


def test_nan_and_infinity(path):
    values = EXAMPLE.values.copy()
    values[:3] = np.nan, np.inf, -0.0
    EXAMPLE.with_values(values).save(path)
    assert stridiag.load(path).values.tobytes() == values.tobytes()


def test_the_name_is_taken_as_given(tmp_path):
    EXAMPLE.save(tmp_path / "plain")
    assert os.listdir(tmp_path) == ["plain"]
    assert stridiag.load(tmp_path / "plain").equals(EXAMPLE)


def test_numpy_reads_it_without_pickle(path):
    EXAMPLE.save(path)
    with np.load(path, allow_pickle=False) as content:
        assert sorted(content) == sorted(MEMBERS)
        assert np.array_equal(content["values"], EXAMPLE.values)


def test_missing_file(path):
    with pytest.raises(FileNotFoundError):
        stridiag.load(path)
    with pytest.raises(FileNotFoundError):
        EXAMPLE.save(path.parent / "no such folder" / "A.npz")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
def test_usual_permissions(path):
    mask = os.umask(0o022)
    try:
        EXAMPLE.save(path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_interrupted_write_leaves_the_old_file(path, monkeypatch, failure):
    EXAMPLE.save(path)
    before = path.read_bytes()

    def half(stream, **arrays):
        stream.write(before[:100])
        raise failure

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(type(failure)):
        (EXAMPLE * 2).save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name], "nothing is left behind"
    monkeypatch.undo()
    (EXAMPLE * 2).save(path)
    assert stridiag.load(path).equals(EXAMPLE * 2)


# ---------------------------------------------------------------------- damage


def test_truncated(path, good):
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        refused(path)


def test_flipped_bits(path, good):
    """A flip is noticed, or lies where nothing depends on it (times, attributes, padding)."""
    noticed = 0
    for place in range(0, len(good), 3):
        damaged = bytearray(good)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            A = stridiag.load(path)
        except FileFormatError:
            noticed += 1
        else:
            assert A.equals(EXAMPLE), place
    assert noticed > len(good) / 6


def test_random_bytes_written_over(path, good):
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(good)
        start = int(rng.integers(len(good)))
        patch = rng.bytes(int(rng.integers(1, 40)))
        damaged[start : start + len(patch)] = patch
        path.write_bytes(damaged)
        try:
            A = stridiag.load(path)
        except FileFormatError:
            continue
        assert A.equals(EXAMPLE), start


def test_foreign_files(path, tmp_path):
    for content in (b"", b"hello", b"PK\x05\x06" + bytes(18), np.random.default_rng(0).bytes(5000)):
        path.write_bytes(content)
        refused(path)
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))
    refused(path)
    np.savez(path, a=np.ones(3))
    refused(path, "not a readable stridiag matrix file: expected members .*, got a")
    np.savez(path, **{f"a{k}": np.ones(1) for k in range(50)})
    refused(path, "and 40 more")


def test_what_cannot_be_opened_says_so_itself(tmp_path):
    with pytest.raises(IsADirectoryError):
        stridiag.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        stridiag.load(tmp_path / "none.npz")


# ---------------------------------------------------------------------- hostile files


def write_members(path, content, compression=zipfile.ZIP_STORED):
    """Write members, arrays or raw bytes, to a zip file."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in content.items():
            if not isinstance(array, bytes):
                stream = io.BytesIO()
                np.lib.format.write_array(stream, np.asanyarray(array))
                array = stream.getvalue()
            archive.writestr(f"{name}.npy", array)


def test_the_writer_of_these_tests_is_sound(path):
    write_members(path, members_of(EXAMPLE))
    assert stridiag.load(path).equals(EXAMPLE)


def header(shape, descr="'<f8'", version=b"\x01\x00"):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode("latin1")


class Bomb:
    def __reduce__(self):
        return os.system, ("touch /tmp/stridiag-was-here",)


CHANGES = {
    "pickled objects": {"values": np.array([Bomb()], object)},
    "pickled structured": {"values": np.array([(None,)], dtype=[("a", object)])},
    "strings": {"values": np.array(["1"] * EXAMPLE.nnz)},
    "integers": {"values": np.ones(EXAMPLE.nnz, int)},
    "half": {"values": np.ones(EXAMPLE.nnz, np.float16)},
    "long double": {"values": np.ones(EXAMPLE.nnz, np.longdouble)},
    "big-endian": {"values": np.ones(EXAMPLE.nnz, ">f8")},
    "too short": {"values": EXAMPLE.values[:-1]},
    "scalar values": {"values": np.array(1.0)},
    "fortran": {"values": np.asfortranarray(np.ones((2, EXAMPLE.nnz)))},
    "shape of three": {"shape": np.array([6, 5, 1])},
    "shape of floats": {"shape": np.array([6.0, 5.0])},
    "negative shape": {"shape": np.array([-6, 5])},
    "huge shape": {"shape": np.array([2**62, 2**62])},
    "huge unsigned": {"shape": np.array([0, 2**64 - 1], np.uint64)},
    "offset outside": {"offsets": np.array([-2, 0, 5])},
    "offset twice": {"offsets": np.array([-2, 0, 0])},
    "offsets nested": {"offsets": np.array([[-2, 0, 1]])},
    "offsets scalar": {"offsets": np.array(0)},
    "offsets of floats": {"offsets": np.array([-2.0, 0.0, 1.0])},
    "links outside": {"link_rows": np.array([0, 1, 6])},
    "links negative": {"link_rows": np.array([0, 1, -1])},
    "links unequal": {"link_rows": np.array([0, 1])},
    "links unordered": {
        "link_rows": EXAMPLE.structure.link_rows[::-1],
        "link_columns": EXAMPLE.structure.link_columns[::-1],
    },
    "links repeated": {
        "link_rows": EXAMPLE.structure.link_rows[[0, 0, 1]],
        "link_columns": EXAMPLE.structure.link_columns[[0, 0, 1]],
    },
    "links on a diagonal": {"link_rows": np.array([0, 1, 2]), "link_columns": np.array([0, 1, 2])},
    "links int32": {"link_rows": EXAMPLE.structure.link_rows.astype(np.int32)},
    "other format": {"format": np.array("other")},
    "format number": {"format": np.array(7)},
    "format array": {"format": np.array(["stridiag matrix"])},
    "newer version": {"version": np.array(2)},
    "version zero": {"version": np.array(0)},
    "version float": {"version": np.array(1.0)},
    "bytes after the array": {"values": header(f"({EXAMPLE.nnz},)") + EXAMPLE.values.tobytes() + b"more"},
    "not an array": {"values": b"no array at all"},
    "empty member": {"values": b""},
}


@pytest.mark.parametrize("name", CHANGES)
def test_hostile_members(path, name):
    write_members(path, members_of(EXAMPLE) | CHANGES[name])
    refused(path)
    assert not os.path.exists("/tmp/stridiag-was-here")


def test_newer_version_says_what_is_readable(path):
    write_members(path, members_of(EXAMPLE) | {"version": np.array(2)})
    refused(path, "reads versions 1 to 1")


@pytest.mark.parametrize(
    "claim",
    [
        header("(10**15,)"),
        header("(1000000000000000,)"),
        header("(4294967296, 4294967296)"),  # the product wraps to 0 in int64
        header("(-1,)"),
        header("(-2, -4)") + bytes(64),
        header("(1000000000000,)", "'|S0'"),
        header("(1000000000000,)", "'|V0'"),
        header("(8,)", "'|O'") + bytes(64),
        header("(8,)", "[('a', '<f8'), ('a', '<f8')]") + bytes(64),
        header("(8,)", "'<f99'") + bytes(64),
        header("8") + bytes(64),
        header("(8L,)") + bytes(64),
        header("(True,)") + bytes(8),
        header("(" * 3000) + bytes(8),
        header("-" * 6000 + "1") + bytes(8),
        header("'" * 3),
        header("(8,)", version=b"\x02\x00") + bytes(64),
        header("(8,)", version=b"\x09\x00") + bytes(64),
        header("(7,)") + bytes(64),
        header("(9,)") + bytes(64),
    ],
    ids=lambda claim: claim[10:60].decode("latin1").strip(),
)
def test_headers_that_lie(path, claim):
    for member in ("values", "link_rows", "shape", "format"):
        write_members(path, members_of(EXAMPLE) | {member: claim})
        refused(path)


def test_compressed_members(path):
    """A small file must not unfold to a large one."""
    zeros = StridiagMatrix(stridiag.Structure(1_000_000), np.zeros(1_000_000))
    write_members(path, members_of(zeros), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    refused(path, "is compressed")


def test_missing_additional_and_repeated_members(path):
    content = members_of(EXAMPLE)
    for name in MEMBERS:
        write_members(path, {k: v for k, v in content.items() if k != name})
        refused(path, "expected members")
    write_members(path, content | {"extra": np.ones(2)})
    refused(path, "expected members")
    write_members(path, content)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("values.npy", b"other")
    refused(path, "a member twice")


def test_size_in_the_directory_that_lies(path, good):
    """A directory entry that claims more bytes than there are, for both sizes."""
    directory = good.index(b"PK\x01\x02")
    for claim in (2**31, 2**32 - 2):
        damaged = bytearray(good)
        damaged[directory + 20 : directory + 28] = claim.to_bytes(4, "little") * 2
        path.write_bytes(damaged)
        refused(path)
