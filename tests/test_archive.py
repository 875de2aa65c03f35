"""What no file may do: wait, unpack without end, hide bytes, run code."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

import stridiag
from stridiag import FileFormatError, nn
from stridiag._archive import opened_archive, read_npy
from stridiag._json import parse_json
from stridiag.nn import storage

A = stridiag.random(9, (-1, 0, 2), links=2, rng=0)
READERS = [stridiag.load, storage.load, nn.Statistics.load]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def refused(path, match=None, reader=stridiag.load):
    with pytest.raises(FileFormatError, match=match):
        reader(path)


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def parse(text):
    return parse_json(np.frombuffer(text.encode(), np.uint8))


# ---------------------------------------------------------------------- what is no file


@pytest.mark.skipif(sys.platform == "win32", reason="files of these kinds are POSIX's")
@pytest.mark.parametrize("reader", READERS)
def test_pipes_devices_folders_and_links(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "zero").symlink_to("/dev/zero")
    start = time.monotonic()
    for name in ("pipe", "circle", "dangling", "zero", "."):
        with pytest.raises(OSError, match=r"pipe|symbolic|No such|directory"):
            reader(tmp_path / name)
    # Nobody writes to the pipe, and zeros do not end.
    assert time.monotonic() - start < 60


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_to_files_are_followed(tmp_path, path):
    A.save(path)
    (tmp_path / "link").symlink_to(path)
    assert stridiag.load(tmp_path / "link").equals(A)


# ---------------------------------------------------------------------- code


class Bomb:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (self.file, "w")


@pytest.mark.parametrize("reader", READERS)
def test_no_pickle_is_loaded(tmp_path, path, reader):
    witness = tmp_path / "was here"
    payload = npy(np.array([Bomb(str(witness))], object), allow_pickle=True)
    A.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for content in (pickle.dumps(Bomb(str(witness))), payload):
        path.write_bytes(content)
        refused(path, reader=reader)
    for hit in (*parts, "header.npy", "a0.npy"):
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in (parts | {hit: payload}).items():
                archive.writestr(name, part)
        refused(path, reader=reader)
    assert not witness.exists()
    # The payload is one: who unpickles it makes the file.
    pickle.loads(pickle.dumps(Bomb(str(witness)))).close()
    assert witness.exists()


# ---------------------------------------------------------------------- the zip


def test_members_that_share_bytes(path):
    """A quine of a zip: two entries of the directory for one member."""
    A.save(path)
    data = bytearray(path.read_bytes())
    entries = [k for k in range(len(data)) if data[k : k + 4] == b"PK\1\2"]
    first = data[entries[0] + 42 : entries[0] + 46]
    data[entries[1] + 42 : entries[1] + 46] = first
    path.write_bytes(data)
    refused(path, "does not begin where")
    with pytest.raises(FileFormatError, match="does not begin where"), opened_archive(path, "file", compressed=True):
        pass


@pytest.mark.parametrize("place", ["front", "middle", "comment", "behind"])
def test_bytes_that_belong_to_no_member(path, place):
    A.save(path)
    data = path.read_bytes()
    if place == "front":
        path.write_bytes(b"#!/bin/sh\n" + data)
    elif place == "behind":
        path.write_bytes(data + b"more")
    elif place == "comment":
        path.write_bytes(data[:-2] + struct.pack("<H", 4) + b"more")
    else:
        directory = data.index(b"PK\1\2")
        end = bytearray(data[-22:])
        end[16:20] = struct.pack("<L", directory + 4)
        path.write_bytes(data[:directory] + b"more" + data[directory:-22] + end)
    refused(path)


def test_encrypted_members(path):
    A.save(path)
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.index(mark) + at] |= 1
    path.write_bytes(data)
    refused(path, "encrypted")


def test_a_directory_without_end_is_not_read(path):
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    count = 300_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, count * len(entry), 0, 0)
    path.write_bytes(entry * count + end)
    tracemalloc.start()
    refused(path, "directory of")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_deflated_zeros_are_refused_before_they_are_unpacked(path):
    np.savez_compressed(path.with_suffix(".npz"), **{f"x{k}": np.zeros(1 << 26, np.uint8) for k in range(5)})
    tracemalloc.start()
    with (
        pytest.raises(FileFormatError, match="too many for a file"),
        opened_archive(path.with_suffix(".npz"), "file", compressed=True) as archive,
    ):
        archive["x0"]
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_newer_files_say_so(path):
    A.save(path)
    with np.load(path) as content:
        parts = dict(content)
    with path.open("wb") as stream:
        np.savez(stream, **parts | {"version": np.array(2)})
    refused(path, "newer stridiag, upgrade")
    text = json.dumps({"format": "stridiag model", "version": 9, "root": None, "arrays": []}).encode()
    with path.open("wb") as stream:
        np.savez(stream, header=np.frombuffer(text, np.uint8))
    refused(path, "newer stridiag, upgrade", storage.load)


# ---------------------------------------------------------------------- arrays


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '<f8', 'fortran_order': True, 'shape': (2,), }", "rows first"),
        ("{'descr': '>f8', 'fortran_order': False, 'shape': (2,), }", "native"),
        ("{'descr': '|b1', 'fortran_order': False, 'shape': (16,), }", "0 or 1"),
        ("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", "no character"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (True, 2), }", "claims shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -1), }", "claims shape"),
        ("{'descr': '<U0', 'fortran_order': False, 'shape': (9999999999,), }", "not read"),
        ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,), }", "not read"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "not read"),
    ],
)
def test_headers_of_arrays_that_lie(header, message):
    text = header.encode().ljust(117) + b"\n"
    data = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + b"\xff" * 16
    with pytest.raises(FileFormatError, match=message):
        read_npy(io.BytesIO(data), len(data), "biufcUS", foreign=False)


@pytest.mark.parametrize("array", [np.ones((2, 3), order="F"), np.ones((2, 3), ">f4"), np.float64(3), np.ones((0, 3))])
def test_foreign_arrays(array):
    data = npy(array)
    np.testing.assert_array_equal(read_npy(io.BytesIO(data), len(data), "f", foreign=True), array)
    for other in (data[:-1], data + b"x"):
        with pytest.raises((FileFormatError, ValueError)):
            read_npy(io.BytesIO(other), len(other), "f", foreign=True)
    with pytest.raises(FileFormatError):
        read_npy(io.BytesIO(data + b"x"), len(data), "f", foreign=True)


# ---------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ("NaN", "none"),
        ("-Infinity", "none"),
        ("1e999", "none"),
        ("9" * 10_000, "digits"),
        ("[" * 100_000, "no valid JSON"),
        ('{"a":' * 100_000, "no valid JSON"),
        ("{} x", "no valid JSON"),
        ("", "no valid JSON"),
    ],
)
def test_json_that_no_writer_makes(text, message):
    with pytest.raises(FileFormatError, match=message):
        parse(text)


def test_json_that_is_too_long_or_no_text():
    with pytest.raises(FileFormatError, match="too long"):
        parse("[" + "1," * (1 << 23) + "1]")
    with pytest.raises(FileFormatError, match="no valid JSON"):
        parse_json(np.array([0xFF, 0xFE], np.uint8))


def test_plain_json():
    assert parse('{"a": [1, -2.5, null, true, "é"]}') == {"a": [1, -2.5, None, True, "é"]}


def test_what_could_not_be_read_is_not_written(tmp_path):
    with pytest.raises(TypeError, match="digits"):
        storage.save({"a": 10**200}, tmp_path / "x")
    with pytest.raises(TypeError, match="arrays"):
        storage.save([np.ones(1)] * 40_000, tmp_path / "x")
    assert os.listdir(tmp_path) == []
