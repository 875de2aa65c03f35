"""Every benchmark runs at a tiny size, so that none of them rots."""

import importlib.util
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = {
    "accuracy.py": ["--sizes", "2", "5", "--dtypes", "float64"],
    "growth.py": ["--sizes", "100", "200", "--repeats", "1"],
    "paper_mode.py": ["--quick"],
    "real_matrices.py": ["--repeats", "1"],
    "solve.py": ["--sizes", "60", "200", "--repeats", "1"],
    "startup.py": ["--repeats", "1", "--links", "0"],
}


def load(name):
    specification = importlib.util.spec_from_file_location(f"benchmark_{name[:-3]}", FOLDER / name)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_each_benchmark_is_run_here():
    assert {path.name for path in FOLDER.glob("*.py")} == set(TINY)


@pytest.mark.parametrize("name", TINY)
def test_benchmark(name, capsys):
    load(name).main(TINY[name])
    assert re.search(r"\d", capsys.readouterr().out)


def test_solve_table_has_every_case_and_small_errors(capsys):
    module = load("solve.py")
    module.main(TINY["solve.py"])
    output = capsys.readouterr().out
    for case in module.CASES:
        assert output.count(f"| {case} |") == 2
    errors = [float(error) for error in re.findall(r"\((\de[-+]\d+)\)", output)]
    assert len(errors) >= 16
    assert max(errors) < 1e-14


def test_solve_refuses_sizes_that_cannot_hold_the_cases():
    with pytest.raises(SystemExit):
        load("solve.py").main(["--sizes", "10"])
