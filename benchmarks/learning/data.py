"""Tables and images as training and test parts: numbers only, with nothing learnt from test rows.

A folder has ``regression/*.npz``, ``classification/*.npz`` and perhaps ``mnist.npz``. A table holds ``X``, ``y`` and,
where they exist, ``test_mask`` (splits, rows; True for rows of the test part), ``is_cat`` (columns of codes) and
``feature_names``. Tables without splits are cut into five shuffled folds with a fixed seed, stratified by class. The
digits come with scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import OneHotEncoder

__all__ = ["Split", "Table", "load", "names"]

Array = NDArray[Any]

FOLDS = 5
# Columns that give the split away: the usual task is without them.
_DROPPED = {"vowel": ("V1",)}


class Split(NamedTuple):
    """Training and test part, (rows, columns) of float64 and (rows,)."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


@dataclass(frozen=True, slots=True)
class Table:
    """One data set and its splits.

    Parameters
    ----------
    name : str
        Of the file.
    task : {"regression", "classification"}
        What is scored: the root of the mean squared error, or the share of right labels.
    rows : ndarray, (n, d)
        May hold NaN for what is missing.
    labels : ndarray, (n,)
        Numbers or codes of classes.
    tests : ndarray of bool, (splits, n)
        Rows of the test part of each split.
    categorical : ndarray of bool, (d,)
        Columns that hold codes.
    image_shape : tuple of int, optional
        Height and width, where the columns are pixels.
    """

    name: str
    task: str
    rows: Array
    labels: Array
    tests: Array
    categorical: Array
    image_shape: tuple[int, int] | None = None

    def split(self, number: int) -> Split:
        """Return a split: one-hot codes (a missing one is a code of its own), the median for missing numbers.

        Raises
        ------
        ValueError
            If there is no such split.
        """
        if not 0 <= number < len(self.tests):
            raise ValueError(f"{self.name} has splits 0 to {len(self.tests) - 1}, got {number}")
        test = self.tests[number]
        train, rest = self.rows[~test], self.rows[test]
        if self.categorical.any() or np.isnan(self.rows).any():
            change = ColumnTransformer(
                [
                    ("codes", OneHotEncoder(handle_unknown="ignore", sparse_output=False), self.categorical),
                    ("numbers", SimpleImputer(strategy="median"), ~self.categorical),
                ]
            )
            train, rest = change.fit_transform(train), change.transform(rest)
        return Split(train, self.labels[~test], rest, self.labels[test])


def names(folder: Path) -> list[str]:
    """Return the names of all data sets of a folder, smallest files first, images last."""
    files = [*folder.glob("regression/*.npz"), *folder.glob("classification/*.npz")]
    listed = [path.stem for path in sorted(files, key=lambda path: (path.stat().st_size, path.stem))]
    return [*listed, "digits", *(["mnist"] if (folder / "mnist.npz").exists() else [])]


def load(folder: Path, name: str) -> Table:
    """Read a data set.

    Raises
    ------
    FileNotFoundError
        If the folder has no such data set.
    """
    if name == "digits":
        return _digits()
    if name == "mnist":
        return _mnist(folder / "mnist.npz")
    for task in ("regression", "classification"):
        path = folder / task / f"{name}.npz"
        if path.exists():
            return _table(path, task)
    raise FileNotFoundError(f"{folder} holds no data set named {name!r}")


def _table(path: Path, task: str) -> Table:
    with np.load(path, allow_pickle=False) as file:
        rows, labels = file["X"].astype(np.float64), file["y"]
        tests = file["test_mask"] if "test_mask" in file else np.empty((0, len(rows)), bool)
        columns = np.zeros(rows.shape[1], bool)
        categorical = file["is_cat"].astype(bool) if "is_cat" in file else columns
        dropped = _DROPPED.get(path.stem, ())
        kept = ~np.isin(file["feature_names"], dropped) if dropped else ~columns
    if not len(tests):
        tests = _folds(labels, stratified=task == "classification")
    return Table(path.stem, task, rows[:, kept], labels, tests, categorical[kept])


def _digits() -> Table:
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    nothing = np.zeros(rows.shape[1], bool)
    return Table("digits", "classification", rows, labels, _folds(labels, stratified=True), nothing, (8, 8))


def _mnist(path: Path) -> Table:
    with np.load(path, allow_pickle=False) as file:
        rows = np.concatenate([file["x_train"], file["x_test"]])
        labels = np.concatenate([file["y_train"], file["y_test"]])
        test = np.arange(len(rows)) >= len(file["x_train"])
    shape = rows.shape[1:]
    pixels = rows.reshape(len(rows), -1).astype(np.float64) / 255.0
    return Table("mnist", "classification", pixels, labels, test[None], np.zeros(pixels.shape[1], bool), shape)


def _folds(labels: Array, *, stratified: bool) -> Array:
    cut = (StratifiedKFold if stratified else KFold)(FOLDS, shuffle=True, random_state=0)
    tests = np.zeros((FOLDS, len(labels)), bool)
    for fold, (_, test) in enumerate(cut.split(labels[:, None], labels)):
        tests[fold, test] = True
    return tests
