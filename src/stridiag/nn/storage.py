"""Models in files: a header of plain JSON beside plain arrays in one ``.npz``; nothing in a file is ever executed.

A model is a tree of frozen dataclasses, matrices, arrays, numbers, strings, ``None``, tuples, lists and dictionaries
with string keys. The header is that tree, with the number of an array wherever one stands; array ``i`` is the member
``a<i>.npy``. Dataclasses are called by the names under which `storable` has registered them: a file can name no other
code. An object that changes stands in a file as what its method `frozen` says of it. Members are stored uncompressed;
each array's shape, dtype and digest stand in the header and are compared with the bytes that are there before anything
is allocated, and each array is used exactly once, so that what a file can ask for in memory is bounded by its own size.

Numbers come back as Python's (``numpy.float64(1)`` as ``1.0``), everything else as it was. A dataclass may gain fields
with defaults later: old files are then read with these defaults.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import types
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from stridiag._archive import MAX_MEMBERS, Archive, check_version, opened_archive
from stridiag._files import written_whole
from stridiag._json import MAX_BYTES, MAX_DIGITS, parse_json
from stridiag.errors import FileFormatError
from stridiag.structure import StridiagMatrix, Structure

__all__ = ["load", "save", "storable"]

Array = NDArray[Any]
T = TypeVar("T")

_FORMAT = "stridiag model"
_VERSION = 1
_HEADER = "header"
# Trees of models are a handful deep; deeper ones are made to exhaust the stack.
_DEPTH = 64
# Kinds of dtype: booleans, integers, floats, complex numbers, strings. No objects.
_KINDS = "biufcUS"

_CLASSES: dict[str, type] = {}
# Those whose objects change.
_CHANGING: set[type] = set()


def storable(cls: type[T]) -> type[T]:
    """Register a frozen dataclass, by its name, as one that files may hold; a decorator, above ``@dataclass``.

    Parameters
    ----------
    cls : type
        A frozen dataclass. Its fields that take part in ``__init__`` are what is stored. Or a class whose objects
        change: its method ``frozen()`` returns a storable dataclass, whose method ``thawed()`` makes an equal object.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If another class has that name.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import os, tempfile
    >>> from stridiag.nn import load, save, storable
    >>> @storable
    ... @dataclass(frozen=True)
    ... class Gain:
    ...     factor: float
    >>> path = os.path.join(tempfile.mkdtemp(), "gain.npz")
    >>> save(Gain(2.0), path)
    >>> load(path)
    Gain(factor=2.0)
    """
    parameters = getattr(cls, "__dataclass_params__", None)
    if parameters is None and callable(getattr(cls, "frozen", None)):
        _CHANGING.add(cls)
        return cls
    if parameters is None or not parameters.frozen:
        raise TypeError(f"storable takes frozen dataclasses, and classes with a method frozen(), got {cls!r}")
    known = _CLASSES.get(cls.__name__)
    # The same class again is a module that was loaded anew.
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"two storable classes are called {cls.__name__!r}: {known!r} and {cls!r}")
    _CLASSES[cls.__name__] = cls
    return cls


def save(model: object, file: str | os.PathLike[str]) -> None:
    """Write a model to an ``.npz`` file of plain arrays and a JSON header.

    The file is written beside its place and then moved there: an interrupted write leaves an old file as it was. The
    name is taken as given, without adding a suffix.

    Parameters
    ----------
    model : object
        A `Network`, `Statistics` or any other tree of storable things; see the top of this module.
    file : path
        Where to write.

    Raises
    ------
    TypeError
        If some part cannot be stored; the message says which.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from stridiag.nn import Statistics
    >>> from stridiag.nn import load, save
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> save({"of": Statistics.from_rows(np.eye(3), np.ones(3)), "rounds": (1, 2)}, path)
    >>> content = load(path)
    >>> content["of"].count, content["rounds"]
    (3, (1, 2))
    """
    arrays: list[Array] = []
    root = _encode(model, arrays, "model", 0)
    told = [{"dtype": a.dtype.str, "shape": list(a.shape), "digest": _digest(a)} for a in arrays]
    header = json.dumps({"format": _FORMAT, "version": _VERSION, "root": root, "arrays": told}, allow_nan=False)
    members = {_HEADER: np.frombuffer(header.encode(), np.uint8)}
    if len(arrays) >= MAX_MEMBERS or members[_HEADER].size > MAX_BYTES:
        raise TypeError(
            f"a model file holds up to {MAX_MEMBERS - 1:,} arrays and a header of up to {MAX_BYTES:,} bytes, "
            f"got {len(arrays):,} and {members[_HEADER].size:,}"
        )
    members.update((f"a{i}", array) for i, array in enumerate(arrays))
    with written_whole(file) as stream:
        np.savez(stream, allow_pickle=False, **members)


def load(file: str | os.PathLike[str]) -> Any:
    """Read a model that `save` wrote.

    Parameters
    ----------
    file : path
        What to read. Nothing in the file is executed, whoever made it.

    Returns
    -------
    object
        As it was saved.

    Raises
    ------
    FileFormatError
        If the file is not one of ours, is of a newer version, names a class that is not known here, or is damaged. It
        is a ValueError.
    OSError
        If there is no such file, it may not be read, or it is a folder, a pipe or a device.
    """
    with opened_archive(file, "stridiag model file") as archive:
        return _read(archive)


def _digest(array: Array) -> str:
    return hashlib.blake2b(np.ascontiguousarray(array).view(np.uint8).data, digest_size=16).hexdigest()


# ------------------------------------------------------------------ from a model to a tree of JSON


def _encode(value: object, arrays: list[Array], place: str, depth: int) -> Any:
    if depth > _DEPTH:
        raise TypeError(f"{place} is nested more than {_DEPTH} deep, which no model file may be")

    def inner(part: object, name: str) -> Any:
        return _encode(part, arrays, f"{place}{name}", depth + 1)

    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        if abs(int(value)) >= 10 ** (MAX_DIGITS - 1):
            raise TypeError(f"{place} is an integer of {MAX_DIGITS} digits or more, which no model file holds")
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else {"kind": "float", "value": repr(number)}
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _KINDS:
            raise TypeError(f"{place} holds {value.dtype}: only arrays of numbers, truth values and strings are stored")
        # In one form: native, rows first.
        arrays.append(np.asarray(value, value.dtype.newbyteorder("="), order="C"))
        return {"kind": "array", "index": len(arrays) - 1}
    if isinstance(value, Structure):
        links = (value.link_rows, value.link_columns)
        shape, offsets = list(value.shape), list(value.offsets)
        return {"kind": "structure", "shape": shape, "offsets": offsets, "links": inner(links, ".links")}
    if isinstance(value, StridiagMatrix):
        return {"kind": "matrix", "structure": inner(value.structure, ""), "values": inner(value.values, ".values")}
    if type(value) in (tuple, list):
        items = [inner(item, f"[{i}]") for i, item in enumerate(value)]  # type: ignore[var-annotated, arg-type]
        return {"kind": type(value).__name__, "items": items}
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return {"kind": "dict", "items": [[key, inner(item, f"[{key!r}]")] for key, item in value.items()]}
    name = type(value).__name__
    if _CLASSES.get(name) is type(value):
        fields = {field: inner(getattr(value, field), f".{field}") for field in _fields(type(value))}
        return {"kind": "class", "name": name, "fields": fields}
    if type(value) in _CHANGING:
        return inner(value.frozen(), "")  # type: ignore[attr-defined]  # as `storable` has seen
    raise TypeError(f"{place} is a {type(value).__name__}, which cannot be stored in a model file")


def _fields(cls: type) -> dict[str, bool]:
    """Return the fields that `__init__` takes, and whether each must be given."""
    missing = dataclasses.MISSING
    return {
        field.name: field.default is missing and field.default_factory is missing
        for field in dataclasses.fields(cls)
        if field.init
    }


# ------------------------------------------------------------------ and back, trusting nothing


def _read(archive: Archive) -> Any:
    if _HEADER not in archive:
        raise FileFormatError("it has no header")
    text = archive[_HEADER]
    if text.dtype != np.uint8 or text.ndim != 1:
        raise FileFormatError(f"its header must be bytes, got {text.dtype} {text.shape}")
    header = parse_json(text)
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise FileFormatError("its format mark is missing")
    check_version(header.get("version"), _VERSION)
    if set(header) != {"format", "version", "root", "arrays"} or not isinstance(header["arrays"], list):
        raise FileFormatError(f"the header must have format, version, root and arrays, got {list(header)[:10]}")
    told = header["arrays"]
    if set(archive) != {_HEADER, *(f"a{i}" for i in range(len(told)))}:
        raise FileFormatError(
            f"the header lists {len(told)} arrays, the file has other members: {sorted(archive)[:10]}"
        )
    arrays: list[Array | None] = []
    for i, entry in enumerate(told):
        array = archive[f"a{i}"]
        if entry != {"dtype": array.dtype.str, "shape": list(array.shape), "digest": _digest(array)}:
            raise FileFormatError(f"array {i} is not the one that the header describes")
        arrays.append(array)
    model = _decode(header["root"], arrays, 0)
    if any(array is not None for array in arrays):
        raise FileFormatError("the file holds arrays that the model does not use")
    return model


def _decode(node: Any, arrays: list[Array | None], depth: int) -> Any:
    if depth > _DEPTH:
        raise FileFormatError(f"the model is nested more than {_DEPTH} deep")
    if node is None or isinstance(node, str | bool | int | float):
        return node

    def inner(part: Any) -> Any:
        return _decode(part, arrays, depth + 1)

    match node:
        case {"kind": "float", "value": "inf" | "-inf" | "nan" as value}:
            return float(value)
        case {"kind": "array", "index": int(index)} if 0 <= index < len(arrays):
            array = arrays[index]
            if array is None:
                raise FileFormatError(f"array {index} is used twice")
            arrays[index] = None
            return array
        case {"kind": "structure", "shape": [int(), int()] as shape, "offsets": list(offsets), "links": links}:
            return _structure(shape, offsets, inner(links))
        case {"kind": "matrix", "structure": structure, "values": values}:
            return StridiagMatrix(inner(structure), inner(values), copy=False)
        case {"kind": "tuple", "items": list(items)}:
            return tuple(inner(item) for item in items)
        case {"kind": "list", "items": list(items)}:
            return [inner(item) for item in items]
        case {"kind": "dict", "items": list(items)}:
            return {_key(key): inner(item) for key, item in items}
        case {"kind": "class", "name": str(name), "fields": dict(fields)}:
            return _build(name, {field: inner(part) for field, part in fields.items()})
    raise FileFormatError(f"the header holds what no model is made of: {str(node)[:80]}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise FileFormatError(f"keys of dictionaries must be strings, got {key!r}")
    return key


def _structure(shape: list[int], offsets: list[Any], links: Any) -> Structure:
    rows, columns = links
    structure = Structure((shape[0], shape[1]), offsets, (rows, columns))
    # Or values would go elsewhere: links that were folded or put in order.
    if not (np.array_equal(structure.link_rows, rows) and np.array_equal(structure.link_columns, columns)):
        raise FileFormatError("links of a matrix are repeated, not in order, or lie on a diagonal")
    return structure


def _build(name: str, fields: dict[str, Any]) -> Any:
    cls = _CLASSES.get(name)
    if cls is None:
        raise FileFormatError(f"the file holds a {name[:60]!r}, which this release does not know")
    wanted = _fields(cls)
    lacking = [field for field, needed in wanted.items() if needed and field not in fields]
    if lacking or not set(fields) <= set(wanted):
        raise FileFormatError(f"{name} must have the fields {', '.join(wanted)}, got {', '.join(fields)[:200]}")
    hints = _hints(cls)
    for field, value in fields.items():
        if not _fits(value, hints.get(field, Any)):
            raise FileFormatError(f"{name}.{field} cannot be a {type(value).__name__}")
    built = cls(**fields)
    return built.thawed() if hasattr(cls, "thawed") else built


@cache
def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except (NameError, TypeError):
        # Annotations of names that exist for the type checker only.
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value may stand in a field of that type; of types that cannot be asked, whether it is a storable."""
    hint = _unaliased(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, TypeVar):
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, choice) for choice in arguments)
    if origin is Literal:
        return value in arguments
    if hint is None or hint is type(None):
        return value is None
    if origin is np.ndarray:
        return isinstance(value, np.ndarray) and _has_dtype(value, arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            arguments = arguments[:1] * len(value) if isinstance(value, tuple) else ()
        return (
            isinstance(value, tuple)
            and len(value) == len(arguments)
            and all(_fits(*pair) for pair in zip(value, arguments, strict=True))
        )
    if hint is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if hint is int:
        return type(value) is int
    if isinstance(hint, type) and getattr(hint, "_is_protocol", False):
        # Of the class, since properties of the value itself might compute.
        return dataclasses.is_dataclass(value) and all(
            hasattr(type(value), name) for name in vars(hint) if not name.startswith("_")
        )
    if isinstance(hint, type):
        return isinstance(value, hint)
    return dataclasses.is_dataclass(value) or isinstance(value, tuple | list | dict)


def _unaliased(hint: Any) -> Any:
    """Return what an alias made by a ``type`` statement stands for: `NDArray` is one from NumPy 2.5 on."""
    value = getattr(get_origin(hint) or hint, "__value__", None)
    if value is None:
        return hint
    arguments = get_args(hint)
    return value[arguments] if arguments else value


def _has_dtype(value: Array, arguments: tuple[Any, ...]) -> bool:
    wanted = get_args(arguments[1])[0] if len(arguments) == 2 and get_args(arguments[1]) else Any
    return not (isinstance(wanted, type) and issubclass(wanted, np.generic)) or np.issubdtype(value.dtype, wanted)
