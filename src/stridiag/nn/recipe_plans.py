"""What the recipes for tables and images cost at most, told before they start."""

from __future__ import annotations

from typing import get_args

from stridiag.nn.ensemble import Preset, sizes_for
from stridiag.nn.image_settings import ImagePreset, checked_shape, image_settings
from stridiag.nn.mixed_units import SPARSE_DEGREES
from stridiag.nn.operations import Operations, statistics_operations
from stridiag.nn.options import check_name, is_integer
from stridiag.nn.training_plan import TrainingPlan, readout_operations

__all__ = ["plan_images", "plan_tabular"]

# Small networks that look for relevance, and that judge shares and mixing; penalties that a walk tries, judging rows.
_TURNS, _JUDGED, _WALK, _JUDGES = 7, 3, 6, 1024
_PENALTIES = 5


def plan_tabular(
    shape: tuple[int, int], outputs: int, preset: Preset = "fast", *, networks: int | None = None
) -> TrainingPlan:
    """Return the most that `fit_tabular` costs, without a memory.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    outputs : int
        Number of targets.
    preset : {"fast", "accurate"}, default "fast"
        As for `fit_tabular`.
    networks : int, optional
        As for `fit_tabular`.

    Returns
    -------
    TrainingPlan
        Upper bounds: how many small networks are fitted and how many penalties are tried depends on the data.

    Examples
    --------
    >>> from stridiag.nn import plan_tabular
    >>> plan_tabular((10_000, 20), 1).total < 1e11
    True
    """
    check_name(preset, "preset", get_args(Preset))
    rows, columns = _sizes(shape, outputs)
    sizes = sizes_for(float(rows), preset)
    count = sizes.networks if networks is None else networks
    # Ranks stand beside values.
    wide = 2 * columns
    features, small = sizes.units + wide, sizes.small_units + wide
    small_rows, tries = min(rows, sizes.small_rows), _TURNS + _JUDGED
    forward = 2 * wide * wide + 2 * max(SPARSE_DEGREES) * sizes.units
    layers = count * rows * forward + tries * small_rows * (
        2 * wide * wide + 2 * max(SPARSE_DEGREES) * sizes.small_units
    )
    statistics = count * statistics_operations(rows, features, outputs)
    statistics += tries * statistics_operations(small_rows, small, outputs)
    solves = count * _walk(features) + tries * _walk(small)
    return TrainingPlan(
        f"tables, {preset}, at most",
        rows,
        columns,
        outputs,
        features,
        Operations(layers=layers, statistics=statistics, solves=solves),
        0,
        0,
        count * (forward + 2 * features * outputs),
        count * ((max(SPARSE_DEGREES) + 1) * sizes.units + wide * wide),
        count * (features + 1) * outputs,
    )


def plan_images(
    shape: tuple[int, int], outputs: int, image_shape: tuple[int, int], preset: ImagePreset = "fast"
) -> TrainingPlan:
    """Return what `fit_images` costs, where five penalties are tried.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    outputs : int
        Number of targets.
    image_shape : tuple of int
        Height and width.
    preset : {"fast", "balanced", "accurate"}, default "fast"
        As for `fit_images`.

    Returns
    -------
    TrainingPlan

    Examples
    --------
    >>> from stridiag.nn import plan_images
    >>> plan_images((60_000, 784), 10, (28, 28)).features
    3456
    """
    rows, columns = _sizes(shape, outputs)
    height, width = checked_shape(image_shape)
    if height * width != columns:
        raise ValueError(f"images of {height} x {width} have {height * width} pixels, got {columns} columns")
    chosen = image_settings(image_shape, rows, preset)
    if not chosen.banks:
        count = chosen.networks
        weights = 25 * max(chosen.units, columns)
        return TrainingPlan(
            f"images, {preset}",
            rows,
            columns,
            outputs,
            chosen.units,
            Operations(layers=2 * rows * weights * count),
            2 * rows * weights * count,
            readout_operations(rows, chosen.units, outputs, "loo") * count,
            2 * (weights + chosen.units * outputs) * count,
            (weights + chosen.units) * count,
            (chosen.units + 1) * outputs * count,
        )
    windows = ((height - chosen.window) // chosen.step + 1) * ((width - chosen.window) // chosen.step + 1)
    pooled = sum(2 * count * windows for _, count in chosen.banks)
    taps = sum(count * side * side for side, count in chosen.banks)
    maps = sum(2 * count * height * (width + side) * side * side for side, count in chosen.banks)
    features = pooled + chosen.units
    forward = maps + 2 * chosen.units * chosen.diagonals
    seen = rows * len(chosen.shifts)
    return TrainingPlan(
        f"images, {preset}",
        rows,
        columns,
        outputs,
        features,
        Operations(
            layers=seen * forward,
            statistics=statistics_operations(seen, features, outputs),
            solves=(_PENALTIES + 1) * features**3 // 3,
        ),
        0,
        0,
        forward + 2 * features * outputs,
        taps + chosen.units * (chosen.diagonals + 1),
        (features + 1) * outputs,
    )


def _sizes(shape: tuple[int, int], outputs: int) -> tuple[int, int]:
    rows, columns = shape
    for name, value in (("rows", rows), ("columns", columns), ("outputs", outputs)):
        if not is_integer(value) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return int(rows), int(columns)


def _walk(features: int) -> int:
    """Return the operations of a walk over penalties: factors, and leverages of the rows that judge."""
    return _WALK * (features**3 // 3 + _JUDGES * features**2)
