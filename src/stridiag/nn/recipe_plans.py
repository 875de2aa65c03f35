"""What the recipes for tables and images cost, told before they start."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from stridiag.nn.copies_readout import ALPHAS, copies_operations
from stridiag.nn.ensemble import Preset, networks_for, sizes_for
from stridiag.nn.image_settings import ImagePreset, ImageSettings, checked_shape, image_settings
from stridiag.nn.mixed_units import BEHIND_PREMIX, SPARSE_DEGREES, WITHOUT_PREMIX, Mixing
from stridiag.nn.operations import Operations, statistics_operations
from stridiag.nn.options import check_name, is_integer
from stridiag.nn.training_plan import TrainingPlan, readout_operations

__all__ = ["Noise", "plan_images", "plan_tabular"]

Noise = Literal["some", "much", "none"]

# What the recipe for tables does as a rule: small networks, and the penalties that they all try; penalties that the
# first network tries, for all others; without noise they are smaller, and farther away.
_SMALL, _SMALL_TRIED, _FIRST_TRIED = 5, 12, 5
_NOISELESS_SMALL_TRIED, _NOISELESS_TRIED = 18, 7
# Rows that judge penalties, of a network and of a small one; rows at which gradients are taken, for so many outputs.
_CHOOSERS = 600
_JUDGES, _SMALL_JUDGES, _GRADIENT_ROWS, _DIRECTIONS = 1024, 512, 500, 4
_PENALTIES = 5


def plan_tabular(
    shape: tuple[int, int],
    outputs: int,
    preset: Preset = "fast",
    *,
    networks: int | None = None,
    mixing: Mixing | Literal["auto"] = "structured",
    noise: Noise = "some",
) -> TrainingPlan:
    """Return about what `fit_tabular` costs, without a memory.

    How many small networks are fitted and how many penalties are tried depends on the data, most of all on their
    noise. Given the right `noise`, operations are within a sixth of those of a fit as a rule, and a third where there
    is none. With the default in its place, a fit takes down to 0.4 of what it says where there is much noise, and up
    to 5 times as much where there is none (few rows, ``preset="accurate"``).

    Parameters
    ----------
    shape : tuple of int
        Rows and columns; columns are taken to be of more than four different values, all of them.
    outputs : int
        Number of targets.
    preset : {"fast", "accurate"}, default "fast"
        As for `fit_tabular`.
    networks : int, optional
        As for `fit_tabular`.
    mixing : {"structured", "dense", "auto"}, default "structured"
        As for `fit_tabular`; "auto" counts as "dense".
    noise : {"some", "much", "none"}, default "some"
        "none": less than 1 in 200 of the targets' variance cannot be predicted. Then networks are wider, and of more
        than 5,000 rows there is one. "much", more than a tenth, as it is for most classes, takes as long as "some".

    Returns
    -------
    TrainingPlan
        Half of the units are taken to be sparse, of the mean of the degrees that are drawn.

    Examples
    --------
    >>> from stridiag.nn.recipe_plans import plan_tabular
    >>> plan_tabular((10_000, 20), 1).total < 1e11
    True
    """
    check_name(preset, "preset", get_args(Preset))
    check_name(mixing, "mixing", ("auto", "dense", "structured"))
    check_name(noise, "noise", get_args(Noise))
    rows, columns = _sizes(shape, outputs)
    sizes = sizes_for(float(rows), preset)
    count = networks_for(float(rows), preset, noiseless=noise == "none") if networks is None else networks
    units = sizes.noiseless_units if noise == "none" else sizes.units
    # Ranks stand beside values.
    wide = 2 * columns
    features, small = units + wide, sizes.small_units + wide
    small_rows = min(rows, sizes.small_rows)
    premix = 0 if mixing == "structured" else wide * wide
    weights, small_weights = (_weights(width, wide, dense=premix > 0) for width in (units, sizes.small_units))
    forward, small_forward = 2 * (weights + units + premix), 2 * (small_weights + sizes.small_units + premix)
    # There and back for each direction among the outputs; of many outputs each takes its share of the rows.
    turns = 2 * (outputs if outputs <= _DIRECTIONS else 1)
    layers = count * (rows + turns * min(rows, _GRADIENT_ROWS)) * forward
    # Without noise sharp relevance is tried in one more.
    small_networks = _SMALL + (noise == "none")
    layers += (small_networks * small_rows + 2 * turns * min(small_rows, _GRADIENT_ROWS)) * small_forward
    statistics = small_networks * statistics_operations(small_rows, small, outputs)
    small_tried, tried = (_NOISELESS_SMALL_TRIED, _NOISELESS_TRIED) if noise == "none" else (_SMALL_TRIED, _FIRST_TRIED)
    solves = small_tried * _trial(small, min(small_rows, _SMALL_JUDGES))
    tried += count - 1
    if rows <= min(_JUDGES, features):
        # By products of rows: a factor and its inverse.
        statistics += count * rows * rows * features
        solves += tried * 2 * rows**3 // 3
    else:
        statistics += count * statistics_operations(rows, features, outputs)
        judges = min(rows, _JUDGES)
        # Half of many judges try penalties; all look at the one of each network.
        solves += (tried - count) * _trial(features, judges // 2 if judges > _CHOOSERS else judges)
        solves += count * _trial(features, judges)
    return TrainingPlan(
        f"tables, {preset}, about",
        rows,
        columns,
        outputs,
        features,
        Operations(layers=layers, statistics=statistics, solves=solves),
        0,
        0,
        count * (forward + 2 * features * outputs),
        count * (weights + units + premix),
        count * (features + 1) * outputs,
    )


def _weights(units: int, wide: int, *, dense: bool) -> int:
    """Return the weights of that many units, half of them sparse."""
    degrees = [degree for degree in SPARSE_DEGREES if degree <= wide]
    mixed = min(BEHIND_PREMIX if dense else WITHOUT_PREMIX, wide)
    return units * sum(degrees) // (2 * len(degrees)) + units * mixed // 2


def plan_images(
    shape: tuple[int, int],
    outputs: int,
    image_shape: tuple[int, int],
    preset: ImagePreset = "fast",
    *,
    classification: bool = False,
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
    classification : bool, default False
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
        count, seen = chosen.networks, rows * len(chosen.shifts)
        weights = 25 * max(chosen.units, columns)
        readout = (
            readout_operations(rows, chosen.units, outputs, "loo")
            if seen == rows
            else copies_operations((rows, len(chosen.shifts), chosen.units), outputs, ALPHAS.size)
        )
        return TrainingPlan(
            f"images, {preset}",
            rows,
            columns,
            outputs,
            chosen.units,
            Operations(layers=2 * rows * weights * count),
            2 * seen * weights * count,
            readout * count,
            2 * (weights + chosen.units * outputs) * count,
            (weights + chosen.units) * count,
            (chosen.units + 1) * outputs * count,
        )
    parts = [_filters_plan(one, (height, width), (rows, outputs), classification) for one in chosen.each]
    hidden = Operations(*(sum(stage) for stage in zip(*(part.hidden for part in parts), strict=True)))
    return TrainingPlan(
        f"images, {preset}",
        rows,
        columns,
        outputs,
        sum(part.features for part in parts),
        hidden,
        0,
        0,
        sum(part.predict for part in parts),
        sum(part.hidden_parameters for part in parts),
        sum(part.readout_parameters for part in parts),
    )


class _Part(NamedTuple):
    """What one network with filters costs."""

    features: int
    hidden: Operations
    predict: int
    hidden_parameters: int
    readout_parameters: int


def _filters_plan(chosen: ImageSettings, shape: tuple[int, int], data: tuple[int, int], classification: bool) -> _Part:
    (height, width), (rows, outputs) = shape, data
    windows = ((height - chosen.window) // chosen.step + 1) * ((width - chosen.window) // chosen.step + 1)
    pooled = sum(2 * count * windows for _, count in chosen.banks)
    taps = sum(count * side * side for side, count in chosen.banks)
    maps = sum(2 * count * height * (width + side) * side * side for side, count in chosen.banks)
    features = pooled + chosen.units
    forward = maps + 2 * chosen.units * chosen.diagonals
    seen = rows * len(chosen.shifts)
    rounds = chosen.rounds if classification else 0
    # A round applies two readouts, of all images and of those that are not held out, and sums products with both.
    again = rounds * (seen * (forward + 8 * features * outputs) + 4 * features**2 * outputs)
    return _Part(
        features,
        Operations(
            layers=seen * forward,
            targets=again,
            statistics=statistics_operations(seen, features, outputs),
            # A raised penalty is one more.
            solves=(_PENALTIES + 1 + (rounds > 0)) * features**3 // 3,
        ),
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


def _trial(features: int, judges: int) -> int:
    """Return the operations of one penalty: a factor, and the leverages of the rows that judge."""
    return features**3 // 3 + judges * features**2
