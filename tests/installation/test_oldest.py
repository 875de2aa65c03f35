import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINNED = dict(
    line.split("==") for line in (ROOT / "requirements" / "oldest.txt").read_text().splitlines() if "==" in line
)


def _declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = project["dependencies"] + [line for name in ("all", "test") for line in extras[name]]
    seen = set()
    while lines:
        line = lines.pop()
        own = re.fullmatch(r"stridiag\[([\w,]+)\]", line)
        if own is None:
            seen.add(line)
        else:
            lines += [inner for name in own[1].split(",") for inner in extras[name]]
    return sorted(seen)


@pytest.mark.parametrize("line", [line for line in _declared() if not line.startswith(("torch", "zuko"))])
def test_every_lower_bound_is_what_the_oldest_run_installs(line):
    name, bound = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", line).groups()
    pinned = PINNED[name].split(".")
    assert pinned[: len(bound.split("."))] == bound.split("."), f"{name}: {bound} declared, {PINNED[name]} tried"
    assert not any(int(part) for part in pinned[len(bound.split(".")) :]), f"{name}: an older release is allowed"
