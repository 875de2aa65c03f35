"""Matrices at the command line: every kind of file in, results and reports out, and how it fails."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

pytest.importorskip("typer")
pytest.importorskip("rich")

from typer.testing import CliRunner

import stridiag
from stridiag import linalg
from stridiag.cli.app import app
from stridiag.cli.market_files import read_market
from stridiag.cli.matrix_files import read_matrix
from stridiag.cli.structure_picture import picture
from stridiag.cli.vector_files import read_columns

A = stridiag.random(12, (-3, 0, 2), links=3, rng=0)
DENSE = A.toarray()
B = np.random.default_rng(1).standard_normal((12, 2))
SINGULAR = stridiag.StridiagMatrix.from_diagonals({0: [1.0, 2.0, 0.0], 1: [1.0, 0.0]})


def run(*arguments, code=0, stdin=None):
    result = CliRunner().invoke(app, [str(word) for word in arguments], input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def save_market(path, matrix, **options):
    scipy.io.mmwrite(path, matrix, **options)


WRITERS = {
    "A.mtx": lambda path: save_market(path, A.to_scipy("coo")),
    "dense.mtx": lambda path: save_market(path, DENSE),
    "A.npz": A.save,
    "A.npy": lambda path: np.save(path, DENSE),
    "fortran.npy": lambda path: np.save(path, np.asfortranarray(DENSE)),
    "swapped.npy": lambda path: np.save(path, DENSE.astype(">f8")),
    **{
        f"{form}{packed}.npz": lambda path, form=form, packed=packed: sp.save_npz(
            path, A.to_scipy(form), compressed=packed == "-packed"
        )
        for form in ("csr", "csc", "coo", "dia", "bsr")
        for packed in ("", "-packed")
    },
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "A.npz"
    A.save(path)
    return path


@pytest.fixture
def right(tmp_path):
    path = tmp_path / "b.npy"
    np.save(path, B)
    return path


# ---------------------------------------------------------------------- what is read


@pytest.mark.parametrize("name", WRITERS)
def test_matrices_of_every_kind(tmp_path, name):
    WRITERS[name](tmp_path / name)
    found = stridiag.detect(read_matrix(tmp_path / name)[0])
    np.testing.assert_array_equal(found.matrix.toarray(), DENSE)


def test_gzipped_and_by_content_not_by_name(tmp_path):
    save_market(tmp_path / "A.mtx", A.to_scipy("coo"))
    (tmp_path / "misnamed.npy").write_bytes(gzip.compress((tmp_path / "A.mtx").read_bytes()))
    found = stridiag.detect(read_matrix(tmp_path / "misnamed.npy")[0])
    np.testing.assert_array_equal(found.matrix.toarray(), DENSE)


@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric", "hermitian"])
@pytest.mark.parametrize("field", ["real", "integer", "complex", "pattern"])
@pytest.mark.parametrize("layout", ["coordinate", "array"])
def test_matrix_market_agrees_with_scipy(tmp_path, symmetry, field, layout):
    if (symmetry == "hermitian" and field != "complex") or (field == "pattern" and layout == "array"):
        pytest.skip("there is no such file")
    if field == "pattern" and symmetry == "skew-symmetric":
        pytest.skip("scipy does not write it")
    rng = np.random.default_rng(3)
    M = rng.integers(-5, 6, (6, 6)).astype(complex if field == "complex" else int if field == "integer" else float)
    M = M + (1j * rng.standard_normal((6, 6)) if field == "complex" else 0)
    M = {
        "general": M,
        "symmetric": M + M.T,
        "skew-symmetric": M - M.T,
        "hermitian": M + M.conj().T,
    }[symmetry]
    M = (M != 0).astype(float) if field == "pattern" else M
    path = tmp_path / "M.mtx"
    # 17 digits, with which numbers come back.
    save_market(
        path,
        sp.coo_array(M) if layout == "coordinate" else M,
        comment="a\nb",
        field=field,
        symmetry=symmetry,
        precision=17,
    )
    found = read_market(path)
    np.testing.assert_array_equal(found.toarray() if layout == "coordinate" else found, M)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%%MatrixMarket matrix coordinate real general\n3 3 999999999\n1 1 1\n", "claims 999999999 entries"),
        ("%%MatrixMarket matrix array real general\n99999999 99999999\n1\n", "claims 99999999 x 99999999"),
        ("%%MatrixMarket matrix coordinate real general\n99999999999 99999999999 1\n1 1 1\n", "nearly all rows"),
        ("%%MatrixMarket matrix coordinate real general\n3 3 1\n4 1 1\n", "indices must be"),
        ("%%MatrixMarket matrix coordinate real general\n3 3 1\n0 1 1\n", "indices must be"),
        ("%%MatrixMarket matrix coordinate real general\n3 3 1\n1.5 1 1\n", "indices must be"),
        ("%%MatrixMarket matrix coordinate real general\n3 3 1\n1 1 x\n", "no number"),
        ("%%MatrixMarket matrix coordinate real general\n3 3\n1 1 1\n", "expected 3 sizes"),
        ("%%MatrixMarket matrix coordinate real general\n3 -3 1\n1 1 1\n", "expected 3 sizes"),
        ("%%MatrixMarket matrix coordinate real symmetric\n3 4 1\n1 1 1\n", "cannot be 3 x 4"),
        ("%%MatrixMarket matrix coordinate real skew-symmetric\n3 3 1\n1 1 1\n", "no entries on its diagonal"),
        ("%%MatrixMarket matrix array pattern general\n1 1\n1\n", "there is no array of field pattern"),
        ("%%MatrixMarket vector coordinate real general\n3 1\n1 1\n", "first line"),
        ("hello", "no matrix file"),
        ("", "no matrix file"),
    ],
)
def test_matrices_that_are_none(tmp_path, text, message):
    (tmp_path / "A.mtx").write_text(text)
    with pytest.raises(stridiag.FileFormatError, match=message):
        read_matrix(tmp_path / "A.mtx")


def test_indices_of_scipys_files_are_checked(tmp_path):
    """Scipy itself follows them wherever they lead."""
    S = A.to_scipy("csr")
    # The last of these passes scipy's own full check and ruins the heap.
    for name, place, value in (
        ("indices", 0, 99),
        ("indices", 0, -1),
        ("indptr", 1, 10**6),
        ("indptr", 3, 0),
        ("indptr", -1, 0),
    ):
        parts = {"indices": S.indices.copy(), "indptr": S.indptr.copy()}
        parts[name][place] = value
        np.savez(tmp_path / "S.npz", data=S.data, shape=np.array(S.shape), format=np.array("csr"), **parts)
        with pytest.raises(stridiag.FileFormatError):
            read_matrix(tmp_path / "S.npz")


def test_a_zip_of_zeros_is_not_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "S.npz", format="csr", shape=[3, 3], data=np.zeros(1 << 26, np.uint8), indices=1)
    with pytest.raises(stridiag.FileFormatError, match="indptr"):
        read_matrix(tmp_path / "S.npz")
    np.savez_compressed(tmp_path / "S.npz", **{f"x{k}": np.zeros(1 << 26, np.uint8) for k in range(5)})
    with pytest.raises(stridiag.FileFormatError, match="too many for a file"):
        read_matrix(tmp_path / "S.npz")


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("1\n2\n3\n", (3,)),
        ("1,2\n3,4\n5,6\n", (3, 2)),
        ("1;2\n3;4\n5;6\n", (3, 2)),
        ("1 2\t3", (3,)),
        ("1+2j\n3\n4\n", (3,)),
    ],
)
def test_columns_of_text(tmp_path, text, shape):
    (tmp_path / "b.csv").write_text("\ufeff# a comment\n" + text)
    found = read_columns(tmp_path / "b.csv", 3)
    assert found.shape == shape
    assert found.dtype.kind == ("c" if "j" in text else "f")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1\n2\n", r"must hold 3 rows, as the matrix has, got shape \(2, 1\)|got shape"),
        (b"x,y\n1,2\n3,4\n5,6\n", "no table of numbers"),
        (b"1\nnan\n3\n", "in row 1"),
        (b"", "empty"),
        (b"\xff\xfe1", "neither text"),
        (b"%%MatrixMarket matrix coordinate real general\n3 999999999 1\n1 1 1\n", "must hold 3 rows"),
    ],
)
def test_columns_that_are_none(tmp_path, content, message):
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(stridiag.FileFormatError, match=message):
        read_columns(tmp_path / "b", 3)


# ---------------------------------------------------------------------- what comes out


def test_solve_prints_what_it_finds_with_all_digits(file, right):
    result = run("solve", file, right)
    printed = np.loadtxt(result.stdout.splitlines())
    np.testing.assert_array_equal(printed, linalg.solve(A, B))
    assert "backward error" in result.stderr
    assert run("solve", file, right, "--quiet").stderr == ""


@pytest.mark.parametrize("suffix", ["npy", "csv", "txt", "mtx"])
def test_solve_writes_every_format_and_reads_it_again(file, right, tmp_path, suffix):
    out = tmp_path / f"x.{suffix}"
    report = json.loads(run("solve", file, right, "-o", out, "--json", "--threads", "1").stdout)
    assert report["backward_error"] < 1e-14
    assert report["residual"] < 1e-13
    assert report["right_hand_sides"] == 2
    assert "x" not in report
    np.testing.assert_array_equal(read_columns(out, 12), linalg.solve(A, B))
    assert sorted(os.listdir(tmp_path)) == sorted([file.name, right.name, out.name])


def test_solve_through_pipes(file, right):
    text = "\n".join(map(str, B[:, 0]))
    report = json.loads(run("solve", file, "-", "--json", "--refine", stdin=text).stdout)
    np.testing.assert_allclose(report["x"], linalg.solve(A, B[:, 0], refine=True), rtol=1e-15)
    assert report["forward_error"] < 1e-14
    result = run("solve", "-", right, "-q", stdin=file.read_bytes())
    np.testing.assert_array_equal(np.loadtxt(result.stdout.splitlines()), linalg.solve(A, B))


def test_singular_systems_say_what_to_use_and_that_works(tmp_path):
    SINGULAR.save(tmp_path / "S.npz")
    (tmp_path / "b.txt").write_text("1 2 3")
    result = run("solve", tmp_path / "S.npz", tmp_path / "b.txt", code=1)
    assert result.stdout == ""
    assert "--lstsq" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    x = np.linalg.pinv(SINGULAR.toarray()) @ [1, 2, 3]
    report = json.loads(run("solve", tmp_path / "S.npz", tmp_path / "b.txt", "--lstsq", "--json").stdout)
    np.testing.assert_allclose(report["x"], x, atol=1e-14)
    assert report["rank"] == 2
    printed = run("pinv", tmp_path / "S.npz", "--apply", tmp_path / "b.txt").stdout
    np.testing.assert_allclose(np.loadtxt(printed.splitlines()), x, atol=1e-14)
    assert "stridiag pinv" in run("inv", tmp_path / "S.npz", code=1).stderr


def test_pinv_inv_and_slogdet(file):
    for command, expected in ((("pinv",), np.linalg.pinv(DENSE)), (("inv",), linalg.inv(A))):
        printed = np.loadtxt(run(*command, file).stdout.splitlines())
        np.testing.assert_allclose(printed, expected, rtol=1e-9, atol=1e-12)
    diagonal = np.loadtxt(run("inv", file, "--diagonal").stdout.splitlines())
    np.testing.assert_allclose(diagonal, np.diag(linalg.inv(A)), rtol=1e-9)
    sign, logarithm = run("slogdet", file).stdout.split()
    assert (float(sign), float(logarithm)) == tuple(map(float, linalg.slogdet(A)))
    assert json.loads(run("slogdet", file, "--json").stdout)["singular"] is False
    assert json.loads(run("pinv", file, "--json", "--rtol", "0.5").stdout)["rank"] < 12


@pytest.mark.parametrize("command", ["inv", "pinv"])
def test_dense_results_beyond_memory_are_not_begun(tmp_path, command):
    stridiag.StridiagMatrix.from_diagonals({0: np.ones(20_000)}).save(tmp_path / "I.npz")
    assert "the result would be dense" in run(command, tmp_path / "I.npz", code=1).stderr


def test_wrong_use(file, right, tmp_path):
    for arguments, code, message in (
        (("solve", file, right, "-o", "x.foo"), 2, "must end in"),
        (("solve", file, right, "--refine", "--lstsq"), 2, "--lstsq for all others"),
        (("solve", "-", "-"), 2, "only one"),
        (("pinv", "-", "--apply", "-"), 2, "only one"),
        (("solve", file), 2, "Missing argument"),
        (("solve", file, right, "--threads", "0"), 2, "--threads"),
        (("info", file, "--plot", "x.bmp"), 2, "must end in"),
        (("solve", tmp_path / "none.mtx", right), 1, "No such file"),
        (("solve", tmp_path, right), 1, "directory"),
    ):
        result = run(*arguments, code=code)
        assert message in result.stderr.replace("\n", " ")
        assert "Traceback" not in result.stderr


def test_rectangular_systems_need_lstsq(tmp_path):
    np.save(tmp_path / "A.npy", np.eye(4, 3))
    np.save(tmp_path / "b.npy", np.arange(4.0))
    assert "--lstsq" in run("solve", tmp_path / "A.npy", tmp_path / "b.npy", code=1).stderr
    printed = run("solve", tmp_path / "A.npy", tmp_path / "b.npy", "--lstsq").stdout
    np.testing.assert_allclose(np.loadtxt(printed.splitlines()), [0, 1, 2])
    assert "rectangular" in run("info", tmp_path / "A.npy").stdout


def test_an_ill_conditioned_system_is_warned_of(tmp_path):
    np.save(tmp_path / "H.npy", 1.0 / (np.arange(14)[:, None] + np.arange(14) + 1.0))
    np.save(tmp_path / "b.npy", np.ones(14))
    report = json.loads(run("solve", tmp_path / "H.npy", tmp_path / "b.npy", "--json").stdout)
    assert len(report["warnings"]) == 1
    assert "singular to working precision" in report["warnings"][0]


# ---------------------------------------------------------------------- info


def test_info_tells_structure_plan_and_numbers(file):
    content = json.loads(run("info", file, "--json").stdout)
    assert content["offsets"] == list(A.offsets)
    assert content["links"] == 3
    assert content["plan"]["method"] == stridiag.plan(A.structure).method
    assert set(content["plan"]["alternatives"]) == set(stridiag.plan(A.structure).alternatives)
    assert content["numbers"]["determinant"]["logabs"] == pytest.approx(float(linalg.slogdet(A)[1]))
    assert content["numbers"]["condition"]["cond"] == pytest.approx(float(A.factor().cond()), rel=1e-6)
    assert "numbers" not in json.loads(run("info", file, "--json", "--structure-only").stdout)
    text = run("info", file).stdout
    for word in ("Diagonals", "Links", "Method", "Operations", "Instead", "Condition", "Determinant", "●"):
        assert word in text


def test_info_of_a_singular_matrix_tells_its_rank(tmp_path):
    SINGULAR.save(tmp_path / "S.npz")
    content = json.loads(run("info", tmp_path / "S.npz", "--json").stdout)["numbers"]
    assert content["singular"] is True
    assert content["rank"]["rank"] == 2
    assert content["condition"]["cond"] is None


@pytest.mark.parametrize(
    ("matrix", "symmetry"),
    [
        (np.diag([1.0, 2.0]), "symmetric"),
        (np.array([[1, 1j], [-1j, 1]]), "Hermitian"),
        (np.array([[1, 1j], [1j, 1]]), "complex symmetric"),
        (np.array([[1.0, 2.0], [3.0, 1.0]]), "symmetric pattern"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "unsymmetric"),
    ],
)
def test_info_tells_symmetry(tmp_path, matrix, symmetry):
    np.save(tmp_path / "M.npy", matrix)
    assert json.loads(run("info", tmp_path / "M.npy", "--json").stdout)["symmetry"] == symmetry


def test_info_of_nan_and_of_nothing(tmp_path):
    np.save(tmp_path / "M.npy", np.diag([1.0, np.nan]))
    assert "NaN" in run("info", tmp_path / "M.npy").stdout
    np.save(tmp_path / "M.npy", np.empty((0, 0)))
    run("info", tmp_path / "M.npy")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_info_draws(file, tmp_path, suffix):
    pytest.importorskip("matplotlib").use("Agg")
    out = tmp_path / f"A.{suffix}"
    run("info", file, "--structure-only", "--plot", out)
    assert out.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix])


# ---------------------------------------------------------------------- the picture


@pytest.mark.parametrize("shape", [(1, 1), (30, 30), (3, 500), (500, 3), (10**6, 10**6), (21, 2000), (50, 7)])
@pytest.mark.parametrize("width", [20, 60, 80, 160])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_pictures_fit(shape, width, encoding):
    structure = stridiag.Structure(shape, (0,), ([shape[0] - 1], [0]))
    lines = [line.plain for line in picture(structure, width, encoding=encoding)]
    assert lines
    assert max(map(len, lines)) <= width
    assert len(lines) <= 22
    assert len({len(line) for line in lines}) == 1
    "".join(lines).encode(encoding)


def test_dots_are_where_entries_are():
    structure = stridiag.Structure((64, 64), (), ([0, 63, 63], [0, 0, 63]))
    lines = [line.plain for line in picture(structure, 80)]
    inside = [line[4:-2] for line in lines[1:-1]]
    assert inside[0][0] == "⠁"
    assert inside[-1][0] == "⡀"
    assert inside[-1][-1] == "⢀"
    assert sum(sign != "⠀" for line in inside for sign in line) == 3


def test_no_picture_of_nothing():
    assert picture(stridiag.Structure((0, 5)), 80) == []


# ---------------------------------------------------------------------- as a process


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are POSIX's")
def test_a_reader_that_has_enough_is_no_error_and_pipes_are_not_waited_for(tmp_path):
    stridiag.random(1500, (-1, 0, 1), rng=0, dominant=True).save(tmp_path / "A.npz")
    command = [sys.executable, "-c", "from stridiag.cli import main; main()"]
    with subprocess.Popen([*command, "inv", tmp_path / "A.npz"], stdout=-1, stderr=-1) as process:
        process.stdout.readline()
        process.stdout.close()
        message = process.stderr.read()
    assert process.returncode == 0
    assert b"Traceback" not in message
    os.mkfifo(tmp_path / "pipe")
    done = subprocess.run([*command, "info", tmp_path / "pipe"], capture_output=True, timeout=120, check=False)
    assert done.returncode == 1
    assert b"Not a regular file" in done.stderr
