"""Every benchmark runs at a tiny size, so that none of them rots."""

import importlib.util
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = {
    "accuracy.py": ["--sizes", "2", "5", "--dtypes", "float64"],
    "capacity.py": ["--quick"],
    "growth.py": ["--sizes", "100", "200", "--repeats", "1"],
    "images.py": ["--seeds", "0"],
    "latency.py": ["--calls", "3", "--quick"],
    "learning.py": ["--page-only"],
    "modes.py": ["--quick"],
    "out_of_core.py": ["--gigabytes", "0.001", "--format", "parquet", "--columns", "6", "--units", "8"],
    "paper_mode.py": ["--quick"],
    "pruning.py": ["--seeds", "1", "--density", "0.05", "--iterations", "3"],
    "real_matrices.py": ["--repeats", "1"],
    "speed.py": ["--sizes", "1000", "--operations", "factor-solve,slogdet,plan", "--repeats", "1", "--budget", "0.001"],
    "startup.py": ["--repeats", "1", "--links", "0"],
    "torch_layers.py": [
        *(
            "--sizes",
            "20",
            "--batches",
            "2",
            "--orders",
            "20",
            "--largest-solve",
            "20",
            "--threads",
            "1",
            "--repeat",
            "1",
        ),
        *("--largest-layer", "10000"),
    ],
    "torch_pruning.py": ["--density", "0.1", "--repeats", "3"],
    "torch_start.py": ["--seeds", "1", "--epochs", "1", "--rows", "200"],
}


def load(name):
    specification = importlib.util.spec_from_file_location(f"benchmark_{name[:-3]}", FOLDER / name)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_each_benchmark_is_run_here():
    # That one measures nothing: it makes pages of what is stored, see test_pages.py.
    assert {path.name for path in FOLDER.glob("*.py")} - {"pages.py"} == set(TINY)


@pytest.mark.parametrize("name", TINY)
def test_benchmark(name, capsys, tmp_path):
    aside = ["--results", str(tmp_path / "made"), "--page", str(tmp_path / "page.md")]
    # Learning itself is measured in test_learning.py.
    given = {
        "speed.py": aside,
        "learning.py": [*aside, "--plots", str(tmp_path)],
        **{f"torch_{part}.py": ["--out", str(tmp_path)] for part in ("layers", "pruning", "start")},
    }.get(name, [])
    load(name).main(TINY[name] + given)
    assert re.search(r"\d", capsys.readouterr().out)


def test_speed_goes_on_where_it_stopped_and_makes_the_page_again(tmp_path):
    module, page = load("speed.py"), tmp_path / "speed.md"
    aside = ["--results", str(tmp_path), "--page", str(page), "--sizes", "1000", "--repeats", "1", "--budget", "0.001"]
    module.main(["--operations", "plan", *aside])
    kept = (tmp_path / "plan.csv").read_text()
    module.main(["--operations", "plan,slogdet", "--missing", *aside])
    assert (tmp_path / "plan.csv").read_text() == kept
    text = page.read_text()
    assert "(plan)" in text
    assert "(slogdet)" in text
    page.unlink()
    module.main(["--page-only", *aside])
    assert page.read_text() == text


def test_speed_refuses_what_is_not_there():
    with pytest.raises(SystemExit):
        load("speed.py").main(["--operations", "dance"])
