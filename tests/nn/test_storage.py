from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from dataclasses import dataclass, fields, is_dataclass, make_dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import pytest

import stridiag
from stridiag import StridiagMatrix, Structure
from stridiag.errors import FileFormatError
from stridiag.nn import Statistics, ridge, storage
from stridiag.nn.storage import load, save, storable


@dataclass(frozen=True, eq=False)
class Part:
    weight: StridiagMatrix | None
    values: np.ndarray
    names: tuple[str, ...] = ()
    mode: Literal["a", "b"] = "a"
    gain: float = 1.0
    size: int = 3

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(f"size must be at least 0, got {self.size}")


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(storage, "_CLASSES", dict(storage._CLASSES))
    storable(Part)


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, StridiagMatrix):
        assert a.equals(b)
    elif is_dataclass(a):
        for field in fields(a):
            same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, tuple | list):
        assert len(a) == len(b)
        for pair in zip(a, b, strict=True):
            same(*pair)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        same(list(a.values()), list(b.values()))
    else:
        assert a == b or (a != a and b != b)


def model():
    rng = np.random.default_rng(0)
    inner = Part(stridiag.random(9, offsets=(-2, 0, 1), links=4, rng=0), rng.standard_normal((3, 2)), ("ä", "b"))
    statistics = Statistics.from_rows(rng.standard_normal((20, 4)), rng.standard_normal((20, 2)))
    return {
        "parts": (inner, Part(None, np.arange(3, dtype=np.int64), mode="b", gain=0.1, size=2**80)),
        "arrays": [
            np.array(["x", "yz"]),
            np.array(True),
            np.empty((0, 3), np.float32),
            np.asfortranarray(np.eye(3, 2)),
        ],
        "numbers": (1, -0.0, 1e-323, float("inf"), float("nan"), True, None, ""),
        "structure": Structure((4, 6), (-1, 2), ([0], [0])),
        "statistics": statistics,
        "readout": ridge(statistics, 0.1),
        "batch": StridiagMatrix(Structure(3, (0,)), rng.standard_normal((2, 3))),
        "one row of many": np.arange(12.0).reshape(3, 4)[:, 1],
    }


def test_what_was_saved_comes_back(tmp_path):
    save(model(), tmp_path / "model.npz")
    same(load(tmp_path / "model.npz"), model())
    # A file of plain arrays, for whoever has no stridiag.
    with np.load(tmp_path / "model.npz", allow_pickle=False) as content:
        header = json.loads(content["header"].tobytes())
        assert header["version"] == 1
        assert len(content.files) == 1 + len(header["arrays"])


def test_numbers_of_numpy_become_pythons(tmp_path):
    save((np.float64(0.1), np.float32(0.5), np.int8(3), np.bool_(False), np.str_("s")), tmp_path / "n")
    same(load(tmp_path / "n"), (0.1, 0.5, 3, False, "s"))


@pytest.mark.parametrize(
    "bad",
    [object(), np.array([None]), {1: 2}, {1, 2}, 1j, b"x", make_dataclass("Part", ["x"])(1), np.zeros(2, "f8,i4")],
)
def test_what_cannot_be_stored_is_named_and_the_old_file_stays(tmp_path, bad):
    path = tmp_path / "model"
    save(1, path)
    with pytest.raises(TypeError, match=r"model\[0\]\['x'\]"):
        save(({"x": bad},), path)
    assert load(path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    save(1, path)

    def interrupted(stream, **members):
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(2, path)
    assert load(path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_trees_without_end_are_refused(tmp_path):
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested more than"):
        save(endless, tmp_path / "x")


def test_only_frozen_dataclasses_are_registered_and_names_are_unique():
    with pytest.raises(TypeError, match="frozen"):
        storable(int)
    with pytest.raises(TypeError, match="frozen"):
        storable(make_dataclass("Loose", ["x"]))
    with pytest.raises(ValueError, match="two storable classes"):
        storable(make_dataclass("Part", ["x"], frozen=True))
    assert storable(Part) is Part


def test_fields_that_came_later_take_their_defaults(tmp_path):
    old = storable(make_dataclass("Grown", [("a", int)], frozen=True))
    save(old(1), tmp_path / "old")
    del storage._CLASSES["Grown"]
    with pytest.raises(FileFormatError, match="does not know"):
        load(tmp_path / "old")
    storable(make_dataclass("Grown", [("a", int), ("b", int, 7)], frozen=True))
    assert load(tmp_path / "old").b == 7
    del storage._CLASSES["Grown"]
    storable(make_dataclass("Grown", [("b", int, 7)], frozen=True))
    with pytest.raises(FileFormatError, match="must have the fields b, got a"):
        load(tmp_path / "old")


def written(path, header, arrays=(), compression=zipfile.ZIP_STORED, names=None):
    """A file by the hand of an attacker: whatever header, checksums all correct."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        content = [np.frombuffer(json.dumps(header).encode(), np.uint8), *arrays]
        for name, array in zip(names or ["header", *(f"a{i}" for i in range(len(arrays)))], content, strict=True):
            stream = io.BytesIO()
            np.save(stream, array)
            archive.writestr(f"{name}.npy", stream.getvalue())


def told(*arrays):
    return [{"dtype": a.dtype.str, "shape": list(a.shape), "digest": storage._digest(a)} for a in arrays]


def head(root, *arrays, **changes):
    return {"format": "stridiag model", "version": 1, "root": root, "arrays": told(*arrays)} | changes


ARRAY = {"kind": "array", "index": 0}
PART = {"kind": "class", "name": "Part", "fields": {"weight": None, "values": ARRAY}}
ONES = np.ones(4)


@pytest.mark.parametrize(
    ("header", "arrays", "message"),
    [
        (head(1, version=2), (), "has version 2"),
        (head(1, version=True), (), "has version True"),
        (head(1, format="other"), (), "format mark"),
        ([1], (), "format mark"),
        (head(1, ONES), (ONES,), "does not use"),
        (head({"kind": "tuple", "items": [ARRAY, ARRAY]}, ONES), (ONES,), "used twice"),
        (head({"kind": "array", "index": 1}, ONES), (ONES,), "no model is made of"),
        (head({"kind": "array", "index": -1}, ONES), (ONES,), "no model is made of"),
        (head(ARRAY, ONES), (ONES * 2,), "is not the one"),
        (head(ARRAY, ONES), (), "other members"),
        (head(ARRAY, arrays=7), (ONES,), "not a readable"),
        (head({"kind": "call", "name": "os.system"}), (), "no model is made of"),
        (head({"kind": "class", "name": "os.system", "fields": {}}), (), "does not know"),
        (head(PART | {"fields": {"weight": None}}), (), "must have the fields"),
        (head(PART | {"fields": PART["fields"] | {"__class__": 1}}, ONES), (ONES,), "must have the fields"),
        (head(PART | {"fields": PART["fields"] | {"weight": 3}}, ONES), (ONES,), "weight cannot be a int"),
        (head(PART | {"fields": PART["fields"] | {"mode": "c"}}, ONES), (ONES,), "mode cannot be a str"),
        (head(PART | {"fields": PART["fields"] | {"gain": True}}, ONES), (ONES,), "gain cannot be a bool"),
        (head(PART | {"fields": PART["fields"] | {"size": 1.5}}, ONES), (ONES,), "size cannot be a float"),
        (head(PART | {"fields": PART["fields"] | {"size": -1}}, ONES), (ONES,), "size must be at least 0"),
        (head(PART | {"fields": {"weight": None, "values": None}}), (), "values cannot be a NoneType"),
        (head({"kind": "dict", "items": [[1, 2]]}), (), "must be strings"),
        (head({"kind": "float", "value": "__import__('os')"}), (), "no model is made of"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, header, arrays, message):
    written(tmp_path / "x", header, arrays)
    with pytest.raises(FileFormatError, match=message):
        load(tmp_path / "x")


def test_nested_headers_do_not_exhaust_the_stack(tmp_path):
    root = 1
    for _ in range(200):
        root = {"kind": "tuple", "items": [root]}
    written(tmp_path / "x", head(root))
    with pytest.raises(FileFormatError, match="nested more than"):
        load(tmp_path / "x")


def test_links_out_of_order_are_refused(tmp_path):
    links = [np.array([2, 0]), np.array([0, 2])]
    pair = {"kind": "tuple", "items": [{"kind": "array", "index": i} for i in range(2)]}
    written(tmp_path / "x", head({"kind": "structure", "shape": [3, 3], "offsets": [0], "links": pair}, *links), links)
    with pytest.raises(FileFormatError, match="not in order"):
        load(tmp_path / "x")


def test_names_compression_and_claimed_sizes(tmp_path):
    path = tmp_path / "x"
    written(path, head(ARRAY, ONES), (ONES,), names=["header", "../../a0"])
    with pytest.raises(FileFormatError, match=r"'\.\./\.\./a0\.npy' is no array"):
        load(path)
    written(path, head(ARRAY, ONES), (ONES,), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(FileFormatError, match="compressed"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(OSError, match="directory"):
        load(tmp_path)
    with path.open("wb") as stream:
        np.savez(stream, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FileFormatError, match="arrays of object"):
        load(path)


@pytest.mark.parametrize("shape", ["(9999999,)", "(-4,)", "(4, 0)", "(4611686018427387904, 8)", "(3,)"])
def test_shapes_that_are_no_sizes_are_refused_before_anything_is_allocated(tmp_path, shape):
    stream = io.BytesIO()
    np.save(stream, ONES)
    member = stream.getvalue()
    # As many blanks fewer as the shape has characters more.
    old = b"(4,), }" + b" " * (len(shape) - 4)
    assert old in member
    member = member.replace(old, shape.encode() + b", }", 1)
    written(tmp_path / "x", head(ARRAY, ONES), (ONES,))
    with zipfile.ZipFile(tmp_path / "x") as archive:
        header = archive.read("header.npy")
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("header.npy", header)
        archive.writestr("a0.npy", member)
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="claims shape"):
        load(tmp_path / "x")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_refused_and_nothing_else(tmp_path, seed):
    """100 files each with bytes changed, cut off, repeated or overwritten: what was saved, or a clear error."""
    path = tmp_path / "model"
    save(model(), path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(100):
        data = whole.copy()
        match rng.integers(4):
            case 0:
                data[rng.integers(data.size, size=rng.integers(1, 4))] ^= np.uint8(rng.integers(1, 256))
            case 1:
                data = data[: rng.integers(data.size)]
            case 2:
                cut = np.sort(rng.integers(data.size, size=2))
                data = np.concatenate((data[: cut[1]], data[cut[0] :]))
            case 3:
                start = rng.integers(data.size)
                data[start : start + 64] = rng.integers(256, size=data[start : start + 64].size)
        path.write_bytes(data.tobytes())
        try:
            loaded = load(path)
        except FileFormatError:
            refused += 1
        else:
            same(loaded, model())
    assert refused > 80


def test_aliases_of_types_are_seen_through():
    # `NDArray` of NumPy 2.5 is one on Python 3.12 and newer: every file was refused there.
    alias = pytest.importorskip("typing_extensions").TypeAliasType
    scalar = TypeVar("scalar", bound=np.generic)
    array = alias("array", np.ndarray[tuple[Any, ...], np.dtype[scalar]], type_params=(scalar,))
    assert storage._fits(np.ones(2), array[Any])
    assert storage._fits(np.ones(2, np.int64), array[np.integer])
    assert not storage._fits(np.ones(2), array[np.integer])
    assert not storage._fits("text", array[Any])
    assert storage._fits(None, array[Any] | None)
