"""What all estimators share: options that describe a network, seeds, files."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from stridiag.nn.architecture import Architecture
from stridiag.nn.modes import MODES
from stridiag.nn.offsets import OffsetSpec, candidate_schedules
from stridiag.nn.options import check_name
from stridiag.nn.training import Mode, Progress
from stridiag.sklearn.saved import save_estimator

__all__ = ["DESCRIPTION", "Seed", "StridiagEstimator"]

Array = NDArray[Any]
Seed = int | np.random.RandomState | np.random.Generator | None

# Options that describe one network.
DESCRIPTION = (
    "training",
    "units",
    "layers",
    "offsets",
    "diagonals",
    "links",
    "link_choice",
    "shuffle",
    "init",
    "tied",
    "activation",
    "scaling",
)


class StridiagEstimator(BaseEstimator):  # type: ignore[misc]
    """Options that describe a network; `StridiagClassifier` says what they mean."""

    training: str | None
    units: int | None
    layers: int | None
    offsets: OffsetSpec | Literal["auto"] | None
    diagonals: int | None
    links: int | None
    link_choice: str | None
    shuffle: bool | None
    init: str | None
    tied: bool | None
    activation: str | None
    scaling: str | None
    image_shape: tuple[int, int] | None
    warm_start: bool
    random_state: Seed
    verbose: int
    callback: Callable[[Progress], object] | None

    # What a network that is described has where an option is None, beside the defaults of Architecture.
    _defaults: ClassVar[dict[str, Any]]
    # What a fit sets, and so what a file may hold.
    _fitted_names: ClassVar[frozenset[str]]

    def _mode(self) -> Mode:
        return MODES[check_name("random" if self.training is None else self.training, "training", MODES)]

    def _architecture(self, inputs: int) -> list[Architecture]:
        """Return the network that the options describe; several where offsets="auto" leaves a choice."""
        offsets = "ternary" if self.offsets is None else self.offsets
        if not (isinstance(offsets, str) and offsets == "auto"):
            return [self._described(offsets, self.image_shape)]
        if self.image_shape is not None and self.shuffle is not False:
            raise ValueError("offsets='auto' takes stencils of image_shape only with shuffle=False")
        shapes = [shape for shape, _ in self._described("ternary", None).plan(inputs)]
        return [
            self._described(name, self.image_shape if name == "stencil2d" else None)
            for name in candidate_schedules(shapes, self.image_shape)
        ]

    def _described(self, offsets: OffsetSpec, image_shape: tuple[int, int] | None) -> Architecture:
        options = {**self._defaults, "image_shape": image_shape}
        options.update((name, getattr(self, name)) for name in DESCRIPTION[1:] if getattr(self, name) is not None)
        # Stencils have a number of diagonals of their own, and explicit offsets none.
        if self.diagonals is None and not (isinstance(offsets, str) and offsets != "stencil2d"):
            del options["diagonals"]
        return Architecture(**{**options, "offsets": offsets})

    def _seed(self) -> int:
        largest = np.iinfo(np.int32).max
        if isinstance(self.random_state, np.random.Generator):
            return int(self.random_state.integers(largest))
        return int(check_random_state(self.random_state).randint(largest))

    def save(self, file: str | PathLike[str]) -> None:
        """Write the fitted estimator to an ``.npz`` file that holds arrays and JSON, nothing that could be executed.

        `stridiag.sklearn.load` reads it. `callback` is not stored, nor is a `random_state` that is no integer.

        Parameters
        ----------
        file : path
            The name is taken as given. An interrupted write leaves an old file as it was.
        """
        check_is_fitted(self)
        save_estimator(self, file)
