"""Messages named temporary files; the logarithm of a complex matrix's determinant was printed as a complex number."""

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")

from typer.testing import CliRunner

from stridiag import save
from stridiag.cli.app import app
from stridiag.structure import StridiagMatrix


@pytest.fixture
def matrix(tmp_path):
    path = tmp_path / "A.npz"
    save(path, StridiagMatrix.from_diagonals({0: np.array([2j, 1.0])}))
    return str(path)


def run(*words, stdin=None):
    result = CliRunner().invoke(app, list(words), input=stdin)
    return result.exit_code, result.stdout, result.stderr


def test_a_folder_that_is_not_there(tmp_path, matrix):
    assert run("solve", matrix, "-", "-o", str(tmp_path / "no" / "x.npy"), stdin="1 2") == (
        1,
        "",
        f"Error: there is no folder {tmp_path / 'no'} for --output\n",
    )
    with pytest.raises(FileNotFoundError, match=r"no such folder.*no'"):
        save(tmp_path / "no" / "A.npz", StridiagMatrix.from_diagonals({0: [1.0]}))


def test_nothing_through_standard_input(matrix):
    assert run("solve", matrix, "-", stdin="") == (1, "", "Error: standard input is empty\n")


def test_determinant_of_a_complex_matrix(matrix):
    code, out, _ = run("slogdet", matrix)
    sign, logarithm = out.split()
    assert code == 0
    assert complex(sign) == 1j
    assert float(logarithm) == pytest.approx(np.log(2))
