"""What a training will cost, told before it starts: operations by stage, memory, and the size of the model.

Sizes decide everything here, never the data: the same call for twice the rows shows what doubles.
"""

from __future__ import annotations

from dataclasses import dataclass

from stridiag.nn.architecture import Architecture
from stridiag.nn.modes import MODES
from stridiag.nn.operations import Operations, forward_operations, layer_sizes, statistics_operations
from stridiag.nn.options import check_name, check_penalty, is_integer
from stridiag.nn.readout import ALPHAS, CRITERIA, Penalty

__all__ = ["TrainingPlan", "plan_training", "readout_operations"]

# Features are kept for a second pass up to this many numbers; see `stridiag.nn.training`.
_KEPT = 1 << 24


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The cost of one fit.

    Parameters
    ----------
    mode : str
        Name of the training mode.
    rows, inputs, outputs : int
        Sizes of the data; inputs after transforms.
    features : int
        Columns that the readout sees.
    hidden : Operations
        Operations of the hidden part, by stage.
    passes : int
        Operations of making the features for the readout, once or twice.
    readout : int
        Operations of the readout: statistics, eigendecomposition, choice of the penalty.
    predict : int
        Operations of one prediction.
    hidden_parameters, readout_parameters : int
        Numbers in the model; float64.

    Notes
    -----
    A ``str`` of it is a table.
    """

    mode: str
    rows: int
    inputs: int
    outputs: int
    features: int
    hidden: Operations
    passes: int
    readout: int
    predict: int
    hidden_parameters: int
    readout_parameters: int

    @property
    def total(self) -> int:
        """All operations of the fit."""
        return self.hidden.total + self.passes + self.readout

    def __str__(self) -> str:
        """Return a table of the stages, largest numbers readable at a glance."""
        stages = [*self.hidden._asdict().items(), ("features", self.passes), ("readout", self.readout)]
        whole = max(1, self.total)
        head = f"training {self.mode!r}: {self.rows} rows, {self.inputs} inputs, {self.outputs} outputs"
        lines = [f"{head}, {self.features} features"]
        lines += [f"  {name:<11}{_short(count):>8} {100 * count / whole:5.1f} %" for name, count in stages if count]
        lines.append(f"  {'total':<11}{_short(self.total):>8} operations")
        parameters = self.hidden_parameters + self.readout_parameters
        lines.append(
            f"  model: {self.hidden_parameters} hidden + {self.readout_parameters} readout numbers, "
            f"{_short(8 * parameters)} bytes; one prediction: {_short(self.predict)} operations"
        )
        return "\n".join(lines)


def plan_training(
    mode: str, shape: tuple[int, int], outputs: int, architecture: Architecture, *, alpha: Penalty = "loo"
) -> TrainingPlan:
    """Return what a training will cost.

    Parameters
    ----------
    mode : str
        One of the training modes; see `stridiag.nn.MODES`.
    shape : tuple of int
        Rows and columns of the (transformed) inputs.
    outputs : int
        Number of targets: of classes, for a classifier of more than two.
    architecture : Architecture
        The hidden layers.
    alpha : float, "loo" or "gcv", default "loo"
        How the readout's penalty is chosen.

    Returns
    -------
    TrainingPlan

    Raises
    ------
    ValueError
        If the mode is unknown or cannot train this architecture, or a size is not a positive integer.

    Examples
    --------
    >>> from stridiag.nn import Architecture, plan_training
    >>> print(plan_training("random", (60000, 784), 10, Architecture(units=1000, layers=2)))
    training 'random': 60000 rows, 784 inputs, 10 outputs, 2784 features
      layers       1.33 G   0.1 %
      features     1.92 G   0.1 %
      readout      1.77 T  99.8 %
      total        1.78 T operations
      model: 8000 hidden + 27850 readout numbers, 287 k bytes; one prediction: 71.7 k operations
    """
    check_penalty(alpha, CRITERIA)
    chosen = MODES[check_name(mode, "mode", MODES)]
    rows, inputs = shape
    for name, value in (("rows", rows), ("columns", inputs), ("outputs", outputs)):
        if not is_integer(value) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    rows, inputs, outputs = int(rows), int(inputs), int(outputs)
    chosen.check_architecture(architecture)
    sizes = layer_sizes(inputs, architecture)
    mixed = chosen.mixed(inputs, architecture) if chosen.mixed is not None else 0
    features = inputs + sum(size.units for size in sizes)
    forward = forward_operations(1, sizes) + 2 * mixed
    twice = alpha == "loo" and rows > features and rows * features > _KEPT
    return TrainingPlan(
        mode,
        rows,
        inputs,
        outputs,
        features,
        chosen.operations(rows, inputs, outputs, architecture),
        forward * rows * (2 if twice else 1),
        readout_operations(rows, features, outputs, alpha),
        forward + 2 * features * outputs,
        sum(size.nnz + size.units for size in sizes) + mixed,
        (features + 1) * outputs,
    )


def readout_operations(rows: int, columns: int, outputs: int, alpha: Penalty) -> int:
    """Return the operations of `solve_ridge`, through the smaller of its two forms."""
    small = min(rows, columns)
    total = 9 * small**3
    if rows > columns:
        total += statistics_operations(rows, columns, outputs)
    else:
        total += rows**2 * columns + 2 * rows * columns * outputs
    if alpha != "gcv":
        candidates = ALPHAS.size if isinstance(alpha, str) else 1
        total += 2 * rows * small * candidates * (outputs + 1)
        if rows > columns:
            total += 2 * rows * columns**2
    return total


def _short(count: int) -> str:
    """Return a count to three digits with a letter for thousands of thousands."""
    value, letters = float(count), ["", " k", " M", " G", " T", " P", " E"]
    while value >= 999.5 and len(letters) > 1:
        value /= 1000.0
        letters.pop(0)
    return f"{value:.3g}{letters[0]}"
