import runpy
from pathlib import Path


def test_what_the_checkers_read_runs():
    runpy.run_path(str(Path(__file__).with_name("user_code.py")), run_name="__main__")
