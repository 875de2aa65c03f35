"""Files of every kind, damaged and forged at random: each is refused or is what it says, quickly, in little memory.

Half of the cases are damage to the bytes. The other half are written by someone who knows the formats: names, sizes,
checksums and digests are all put right again, so that what is tested lies behind them: shapes, dtypes, indices and the
tree of the header. What such a file yields is also used, since an index that is out of range harms only then.

Longer runs: ``python tests/fuzz/test_hostile_files.py CASES [FIRST SEED]`` prints counts.
"""

from __future__ import annotations

import collections
import gzip
import hashlib
import io
import json
import os
import sys
import time
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stridiag
from stridiag import FileFormatError, StridiagMatrix, nn
from stridiag.cli.matrix_files import read_matrix
from stridiag.cli.vector_files import read_columns
from stridiag.nn import storage

pytest.importorskip("sklearn")
from stridiag import sklearn as wing
from stridiag.sklearn.saved import to_saved

# More than any of the files may ask for; and more seconds than any may take, of this process.
ROOM, SECONDS = 1 << 28, 1.0
CASES = 250
NUMBERS = (-1, 0, 1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63), 2**64, 10**30)
DESCRIPTORS = (
    "'|O'", "'<f8'", "'>f8'", "'<U4'", "'<U999999999'", "'<U0'", "'|S0'", "'|V8'", "'<i8'", "'|b1'", "'<c16'",
    "'<M8[s]'",
    "[('a', '<f8')]", "[('a', '|O')]", "('<f8', (2, 3))", "('<f8', (999999, 999999))", "'<f2'", "'<f16'", "''", "None",
    "{'names': ['a'], 'formats': ['|O']}", "'<f8,<f8'", "__import__('os').getcwd()",
)  # fmt: skip
SHAPES = (
    "()", "(0,)", "(-1,)", "(True,)", "(1,)", "(4, 0)", "(2147483648,)", "(4611686018427387904, 4)", "(1e3,)", "'x'",
    "None",
    "(0, 4611686018427387904)", "(9223372036854775808,)", "(3, -1, -1)", "((1,),)", "(1,) * 9", "(" * 300 + ")" * 300,
)  # fmt: skip
NODES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**40, 2**63, -(2**70), 10**190, 1e300, -0.5, "", "x", "tanh", [], {}, [[]], [1, [2, [3]]],
    {"kind": "array", "index": 0}, {"kind": "array", "index": 1}, {"kind": "float", "value": "nan"},
    {"kind": "float", "value": "inf"}, {"kind": "tuple", "items": []}, {"kind": "dict", "items": [["a", 1]]},
    {"kind": "class", "name": "Network", "fields": {}}, {"kind": "class", "name": "os", "fields": {}}, {"kind": "list"},
    {"kind": "structure", "shape": [2**40, 2**40], "offsets": [], "links": {"kind": "tuple", "items": []}},
)  # fmt: skip
TOKENS = (
    b"-1",
    b"0",
    b"1",
    b"99999999999",
    b"1e400",
    b"nan",
    b"x",
    b"1.5",
    b"9" * 400,
    b"\n",
    b"%",
    b"\0",
    b"1e-400",
    b"",
)


@dataclass(frozen=True)
class Kind:
    """A kind of file: a good one, how it is read, when two are equal, and what is done with it."""

    name: str
    content: bytes
    read: Any
    same: Any
    use: Any


# ---------------------------------------------------------------------- good files


def rows(n, d):
    return np.random.default_rng(n).standard_normal((n, d))


def written(save):
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"stridiag-fuzz-{os.getpid()}"
    save(path)
    content = path.read_bytes()
    path.unlink()
    return content


def multiply(A):
    if A.shape[-1] < 10**6 and not A.batch_shape:
        A @ np.ones(A.shape[-1])


def decide(model):
    if model.inputs.inputs < 10**5:
        model.decision(np.ones((3, model.inputs.inputs)))
        model.decision(np.ones((40, model.inputs.inputs)))
        if isinstance(model, nn.Network):
            nn.compile_network(model)(np.ones(model.inputs.inputs))


def predict(model):
    model.predict(np.ones((3, model.n_features_in_)))


def learn(model):
    model.partial_fit(np.ones((3, model.n_features_in_)), model.classes_[:1].repeat(3))
    predict(model)


def same_tree(a, b):
    def digest(x):
        arrays = []
        tree = storage._encode(x, arrays, "", 0)
        return json.dumps(tree), [storage._digest(one) for one in arrays]

    return digest(a) == digest(b)


def same_model(a, b):
    def content(model):
        whole = isinstance(model, wing.TableModel)
        return (to_saved(model.estimator), model.encoding, model.targets) if whole else to_saved(model)

    return same_tree(content(a), content(b))


def same_sparse(a, b):
    return stridiag.detect(a[0]).matrix.equals(stridiag.detect(b[0]).matrix)


def kinds():
    X = rows(60, 3)
    z = X[:, :1] * X[:, 1:2]
    network = nn.fit_random(X, z, nn.Architecture(units=8, layers=2), rng=0)
    ensemble = nn.fit_tabular(rows(80, 3), rows(80, 3)[:, :1] ** 3, preset="fast", units=8, networks=2, rng=0)
    regressor = wing.StridiagRegressor(units=8, layers=1, random_state=0).fit(X, z[:, 0])
    classifier = wing.StridiagClassifier(units=8, layers=1, random_state=0).fit(X, np.where(z[:, 0] > 0, "a", "b"))
    A = stridiag.random((9, 8), (-2, 0, 1), links=4, rng=0)
    import scipy.io
    import scipy.sparse as sp

    def market(array):
        stream = io.BytesIO()
        scipy.io.mmwrite(stream, array)
        return stream.getvalue()

    def npy(array):
        stream = io.BytesIO()
        np.save(stream, array)
        return stream.getvalue()

    def scipys(form, compressed):
        stream = io.BytesIO()
        sp.save_npz(stream, A.to_scipy(form), compressed=compressed)
        return stream.getvalue()

    def tree(name, model, use, read=storage.load, save=storage.save):
        return Kind(name, written(lambda path: save(model, path)), read, same_tree, use)

    def estimator(name, model, use=predict):
        return Kind(name, written(model.save), wing.load, same_model, use)

    def sparse(name, content):
        return Kind(name, content, read_matrix, same_sparse, lambda found: multiply(stridiag.detect(found[0]).matrix))

    streamed = wing.StridiagClassifier(units=8, layers=1, random_state=0)
    streamed.partial_fit(X, np.arange(60) % 3, classes=[0, 1, 2])
    pictures = np.random.default_rng(1).random((60, 6, 6))
    images = wing.StridiagRegressor(image_shape=(6, 6), random_state=0).fit(pictures.reshape(60, -1), z[:, 0])
    transformer = wing.StridiagTransformer(units=8, layers=1, random_state=0).fit(X)
    recursive = nn.RecursiveLayer(stridiag.Structure(5, (-1, 0, 1)), forgetting=0.9)
    recursive.update(np.ones(5), np.arange(5.0))
    table = {"a": X[:, 0], "b": np.where(X[:, 1] > 0, "up", "down"), "y": z[:, 0]}
    of_table = wing.TableModel.fit(table, "y", options={"units": 8, "layers": 1, "random_state": 0})
    equal = np.array_equal
    statistics = nn.Statistics.from_rows(X, z)
    symmetric = market(sp.coo_array(np.tri(5) + np.tri(5).T))
    return [
        Kind("matrix", written(A.save), stridiag.load, StridiagMatrix.equals, multiply),
        tree("network", network, decide),
        tree("ensemble", ensemble, decide),
        tree("statistics", statistics, nn.ridge, read=nn.Statistics.load),
        tree("features", nn.FeatureMap(network.inputs, network.hidden), lambda m: m.features(X)),
        estimator("regressor", regressor),
        estimator("classifier", classifier),
        estimator("streamed", streamed, learn),
        estimator("images", images),
        estimator("transformer", transformer, lambda m: m.transform(np.ones((3, m.n_features_in_)))),
        Kind("table model", written(of_table.save), wing.load, same_model, lambda m: m.predict(table)),
        tree("recursive", recursive, lambda m: m.update(np.ones(5), np.arange(5.0))),
        sparse("scipy csr", scipys("csr", True)),
        sparse("scipy bsr", scipys("bsr", False)),
        sparse("scipy dia", scipys("dia", True)),
        sparse("scipy coo", scipys("coo", False)),
        sparse("dense npy", npy(np.asfortranarray(A.toarray()))),
        sparse("market", market(A.to_scipy("coo"))),
        sparse("market symmetric", symmetric),
        sparse("market array", market(A.toarray())),
        sparse("market gz", gzip.compress(market(A.to_scipy("coo")), mtime=0)),
        Kind("columns npy", npy(np.ones((9, 2))), lambda p: read_columns(p, 9), equal, np.sum),
        Kind("columns csv", b"1.5,2\n" * 9, lambda p: read_columns(p, 9), equal, np.sum),
    ]  # fmt: skip


# ---------------------------------------------------------------------- damage


def damaged(content, rng):
    """Bytes changed, cut off, repeated, overwritten, inserted or appended."""
    data = np.frombuffer(content, np.uint8).copy()
    match rng.integers(7):
        case 0:
            data[rng.integers(data.size, size=rng.integers(1, 5))] ^= np.uint8(1 << rng.integers(8))
        case 1:
            classes = (rng.integers(0, 30), rng.integers(data.size), data.size - rng.integers(1, 120))
            data = data[: max(0, min(data.size, int(rng.choice(classes))))]
        case 2:
            cut = np.sort(rng.integers(data.size, size=2))
            data = np.concatenate((data[: cut[1]], data[cut[0] :]))
        case 3:
            start = rng.integers(data.size)
            data[start : start + 16] = rng.integers(256, size=data[start : start + 16].size)
        case 4:
            data = np.insert(data, rng.integers(data.size), rng.integers(256, size=rng.integers(1, 9)).astype(np.uint8))
        case 5:
            data = np.concatenate((data, rng.integers(256, size=rng.integers(1, 200)).astype(np.uint8)))
        case 6:
            # Whole words, where sizes and counts stand.
            at = int(rng.integers(max(1, data.size - 8)))
            word = np.frombuffer(int(rng.choice(np.array(NUMBERS[:14]))).to_bytes(8, "little", signed=True), np.uint8)
            data[at : at + 4 * rng.integers(1, 3)] = word[: data[at : at + 4 * rng.integers(1, 3)].size][:4][0]
    return data.tobytes()


# ---------------------------------------------------------------------- forgery


def forged(content, rng):
    if content.startswith(b"PK"):
        return forged_archive(content, rng)
    if content.startswith(b"\x93NUMPY"):
        return forged_npy(content, rng)
    if content.startswith(b"\x1f\x8b"):
        return gzip.compress(forged_text(gzip.decompress(content), rng), mtime=0)
    return forged_text(content, rng)


def forged_text(text, rng):
    lines = text.split(b"\n")
    # Sizes come first, so more often these.
    k = int(rng.integers(min(len(lines), 4) if rng.random() < 0.5 else len(lines)))
    words = lines[k].replace(b",", b" , ").split(b" ")
    words[rng.integers(len(words))] = TOKENS[rng.integers(len(TOKENS))]
    lines[k] = b" ".join(words)
    if rng.random() < 0.2:
        lines.insert(int(rng.integers(len(lines))), lines[rng.integers(len(lines))])
    return b"\n".join(lines)


def forged_npy(content, rng):
    """An array with another header, or other numbers."""
    length = int.from_bytes(content[8:10], "little")
    header, data = content[10 : 10 + length].decode("latin-1"), content[10 + length :]
    match rng.integers(6):
        case 0:
            start = header.index("'descr':") + 9
            header = header[:start] + str(rng.choice(np.array(DESCRIPTORS))) + header[header.index(", 'fortran") :]
        case 1:
            start = header.index("'shape':") + 9
            header = header[:start] + str(rng.choice(np.array(SHAPES))) + ", }"
        case 2:
            header = header.replace("False", "True") if "False" in header else header.replace("True", "False")
        case 3:
            kind = header[header.index("'descr':") + 9 :][1:4]
            if kind in ("<i8", "<i4", "<f8"):
                array = np.frombuffer(data, kind).copy()
                if array.size:
                    number = NUMBERS[rng.integers(len(NUMBERS))]
                    info = np.iinfo(kind) if kind[1] == "i" else None
                    array[rng.integers(array.size)] = number if info is None else max(info.min, min(info.max, number))
                    data = array.tobytes()
        case 4:
            data = data[: rng.integers(len(data) + 1)] if rng.random() < 0.5 else data + bytes(int(rng.integers(1, 64)))
        case 5:
            return content[:6] + bytes(rng.integers(0, 4, 2).astype(np.uint8)) + content[8:]
    header = header.rstrip() + "\n"
    return content[:8] + len(header).to_bytes(2, "little") + header.encode("latin-1") + data


def forged_archive(content, rng):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    names = list(parts)
    pick = names[rng.integers(len(names))]
    others = [name for name in names if name != "header.npy"]
    extra, compression, mend = [], zipfile.ZIP_STORED, True
    choice = rng.integers(9)
    if choice <= 3 and "header.npy" in parts:
        parts["header.npy"] = bytes_of_header(forged_tree(header_of(parts["header.npy"]), rng))
    elif choice <= 5:
        name = others[rng.integers(len(others))]
        parts[name] = forged_npy(parts[name], rng)
        mend = rng.random() < 0.9
    elif choice == 6:
        a, b = others[rng.integers(len(others))], others[rng.integers(len(others))]
        parts[a], parts[b] = parts[b], parts[a]
    elif choice == 7:
        if rng.random() < 0.5:
            del parts[pick]
        else:
            extra = [
                (
                    str(
                        rng.choice(np.array(["x.npy", "../x.npy", "/etc/x.npy", "a/b.npy", pick, "C:\\x.npy", "é.npy"]))
                    ),
                    b"",
                )
            ]
    else:
        compression = zipfile.ZIP_DEFLATED
        if rng.random() < 0.5:
            # A bomb: zeros, a thousandth of their size.
            parts[pick] = parts[pick][:128] + bytes(1 << 20)
    if "header.npy" in parts and mend:
        parts["header.npy"] = mended(parts)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in [*parts.items(), *extra]:
            archive.writestr(name, data)
    return stream.getvalue()


def header_of(member):
    return json.loads(member[10 + int.from_bytes(member[8:10], "little") :])


def bytes_of_header(header):
    stream = io.BytesIO()
    np.save(stream, np.frombuffer(header if isinstance(header, bytes) else json.dumps(header).encode(), np.uint8))
    return stream.getvalue()


def mended(parts):
    """The header with dtypes, shapes and digests as the arrays have them."""
    try:
        header = header_of(parts["header.npy"])
        for i, entry in enumerate(header["arrays"]):
            array = np.load(io.BytesIO(parts[f"a{i}.npy"]), allow_pickle=False)
            data = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()
            entry.update(dtype=array.dtype.str, shape=list(array.shape), digest=data)
    except Exception:
        return parts["header.npy"]
    return bytes_of_header(header)


def forged_tree(header, rng):
    """The header with a node replaced, moved, dropped or repeated; sometimes text that no writer makes."""
    places = []

    def walk(node):
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(header)
    # The tree of the model, more often than what stands around it.
    node, key = places[rng.integers(len(places))]
    match rng.integers(8):
        case 0 | 1 | 2:
            node[key] = NODES[rng.integers(len(NODES))]
        case 3:
            other, at = places[rng.integers(len(places))]
            node[key], other[at] = other[at], node[key]
        case 4:
            del node[key]
        case 5:
            if isinstance(node[key], int | float):
                node[key] = NUMBERS[rng.integers(len(NUMBERS))]
        case 6:
            if isinstance(node, list):
                node.insert(key, node[key])
            else:
                node[f"{key}x"] = node[key]
        case 7:
            text = json.dumps(header)
            swaps = (
                ("1", "NaN"),
                ("1", "1e999"),
                ("1", "9" * 5000),
                ('"kind"', '"kind": 1, "kind"'),
                ("[", "[" * 9999),
            )
            old, new = swaps[rng.integers(len(swaps))]
            return text.replace(old, new, 1).encode()
    try:
        return json.dumps(header).encode()
    except (ValueError, RecursionError):
        # A node moved into itself.
        return b"{}"


# ---------------------------------------------------------------------- the cases


class Limited:
    """At most `ROOM` more bytes of addresses than now, where the system can say so."""

    def __enter__(self):
        try:
            import resource

            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        except (ImportError, OSError):
            self.old = None
            return
        self.resource, self.old = resource, resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, self.old[1]))

    def __exit__(self, *_):
        if self.old is not None:
            self.resource.setrlimit(self.resource.RLIMIT_AS, self.old)


# What use of a model that is other than what was saved may raise: what is said of wrong input.
USED = (ValueError, TypeError, ArithmeticError, AttributeError, np.linalg.LinAlgError)


def ran_out(error):
    """Whether memory was what failed, whatever was made of it."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__
    return error is not None


def attempt(kind, content, path, good):
    """Read a file; return what became of it. What must not be raises."""
    path.write_bytes(content)
    # The test process holds all that earlier tests left, and a collection of that garbage, or a thread of theirs, falls
    # on any file. A slow file is slow each time.
    for _ in range(3):
        start = time.process_time()
        outcome = became(kind, path, good)
        seconds = time.process_time() - start
        assert outcome != "out of memory", f"{kind.name} asked for too much memory"
        if seconds < SECONDS:
            return outcome
    raise AssertionError(f"{kind.name} took {seconds:.2f} s")


def became(kind, path, good):
    """What a file is: refused, the same as what was saved, or another that can be used or not."""
    try:
        found = kind.read(path)
    except (FileFormatError, ValueError, OSError) as error:
        return "out of memory" if ran_out(error) else "refused"
    if kind.same(found, good):
        return "same"
    try:
        kind.use(found)
    except USED:
        return "another, refused in use"
    return "another"


def run(kind, cases, seed, folder):
    counts = collections.Counter()
    path = folder / "file"
    path.write_bytes(kind.content)
    good = kind.read(path)
    assert kind.same(good, good)
    kind.use(good)
    rng = np.random.default_rng([seed, *kind.name.encode()])
    with Limited(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in range(cases):
            make = damaged if case % 2 else forged
            content = make(kind.content, rng)
            try:
                counts[make.__name__, attempt(kind, content, path, good)] += 1
            except BaseException as error:
                kept = folder / f"{kind.name}-{seed}-{case}"
                kept.write_bytes(content)
                error.add_note(f"case {case} of seed {seed}, kept as {kept}")
                raise
    return counts


@pytest.fixture(scope="module")
def all_kinds():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {kind.name: kind for kind in kinds()}


NAMES = (
    "matrix", "network", "ensemble", "statistics", "features", "regressor", "classifier", "streamed", "images",
    "transformer", "table model", "recursive", "scipy csr", "scipy bsr",
    "scipy dia", "scipy coo", "dense npy", "market", "market symmetric", "market array", "market gz", "columns npy",
    "columns csv",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_refused_or_what_it_says(all_kinds, name, tmp_path):
    counts = run(all_kinds[name], CASES, 0, tmp_path)
    assert counts.total() == CASES
    # Most of them are caught, or the cases are no cases.
    assert sum(n for (_, outcome), n in counts.items() if outcome == "refused") > 0.25 * CASES


def test_all_kinds_are_tested(all_kinds):
    assert set(all_kinds) == set(NAMES)


if __name__ == "__main__":
    import tempfile

    total, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    every = kinds()
    begin = time.process_time()
    everything = collections.Counter()
    for each in every:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        found = run(each, -(-total // len(every)), first, folder)
        everything += found
        print(f"{each.name:18s}", ", ".join(f"{m} {o}: {n:,}" for (m, o), n in sorted(found.items())), flush=True)
    print(f"{everything.total():,} cases, {time.process_time() - begin:.0f} CPU s:", dict(everything))
