"""Two pictures: loss against the seconds of a fit, and against the numbers of a model."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from learning.summary import Runs, common, median_ratio, total_seconds

__all__ = ["draw"]

BASE = "histgb"


def draw(runs: Runs, models: Sequence[str], family: Sequence[str], data: Sequence[str], folder: Path) -> dict[str, str]:
    """Write the pictures of models that have these data sets; return what each shows, by the name of its file.

    A file says in its description what numbers it draws, by their digest: other versions of matplotlib draw the same
    numbers in other words.

    Parameters
    ----------
    runs : dict
        All runs.
    models : sequence of str
        Drawn as points.
    family : sequence of str
        One rival's widths: drawn as a line.
    data : sequence of str
        What the sums and medians are over.
    folder : Path
        Where to write.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    points = {model: _point(runs, model, data) for model in [*models, *family]}
    kept = {model: point for model, point in points.items() if point is not None}
    told = "; ".join(f"{model}: {', '.join(f'{x:.6g}' for x in point)}" for model, point in kept.items())
    drawn = hashlib.sha256(told.encode()).hexdigest()[:16]
    written = {}
    for k, (name, label, said) in enumerate(
        (
            ("learning-time.svg", "seconds of CPU for all fits", "Loss of each model against the seconds of its fits"),
            ("learning-numbers.svg", "numbers in the model, median", "Loss of each model against its size in numbers"),
        ),
        start=1,
    ):
        # Fixed ids, so that the same results make the same file.
        with rc_context({"svg.hashsalt": "stridiag", "svg.fonttype": "none", "font.size": 9}):
            figure = Figure(figsize=(7.0, 4.2), layout="constrained")
            FigureCanvasSVG(figure)
            axes = figure.add_subplot()
            line = [kept[model] for model in family if model in kept]
            if line:
                axes.plot([p[k] for p in line], [p[0] for p in line], "o-", color="0.6", ms=3, label="dense, by width")
            for model in models:
                if model in kept:
                    marker = "D" if model.startswith("ours") else "s" if model.startswith("random") else "o"
                    axes.plot(kept[model][k], kept[model][0], marker, ms=6, label=model)
            axes.set(xscale="log", yscale="log", xlabel=label, ylabel="loss over that of histgb, median")
            axes.axhline(1.0, color="0.8", lw=0.8, zorder=0)
            axes.grid(alpha=0.3, which="both")
            if kept:
                axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
            figure.savefig(folder / name, metadata={"Date": None, "Description": f"numbers drawn: {drawn}"})
        written[name] = said
    return written


def _point(runs: Runs, model: str, data: Sequence[str]) -> tuple[float, float, float] | None:
    """Return the median relative loss, the total seconds and the median count of numbers; None if data are missing."""
    shared: Mapping[str, Sequence[int]] = {d: s for d, s in common(runs, (model, BASE)).items() if d in set(data)}
    if len(shared) < len(data) or not shared:
        return None
    numbers = [runs[model][d][splits[0]].hidden + runs[model][d][splits[0]].readout for d, splits in shared.items()]
    return median_ratio(runs, model, BASE, data=data), total_seconds(runs, model, shared), statistics.median(numbers)
