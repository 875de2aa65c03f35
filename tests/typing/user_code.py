"""What a user writes, with the types that a checker must find in it; read by mypy and pyright, and run by a test.

`assert_type` says what is found, so an annotation that gets lost on the way is an error here.
"""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import stridiag
from stridiag import Factor, Plan, StridiagMatrix, Structure, linalg, nn
from stridiag.sklearn import StridiagClassifier, StridiagRegressor


def algebra() -> None:
    A = stridiag.random(50, offsets=(-1, 0, 2), links=3, rng=0, dominant=True)
    assert_type(A, StridiagMatrix)
    assert_type(A.structure, Structure)
    assert_type(A.T, StridiagMatrix)
    assert_type(stridiag.plan(A.structure), Plan)
    b = np.ones(50)
    assert_type(linalg.solve(A, b), NDArray[Any])
    factor = A.factor()
    assert_type(factor, Factor)
    assert_type(factor.solve(b), NDArray[Any])
    sign, logabsdet = linalg.slogdet(A)
    total = float(sign) * float(logabsdet)
    assert_type(total, float)
    assert_type(linalg.pinv(A), linalg.PseudoInverse)


def learning() -> None:
    rng = np.random.default_rng(0)
    rows, targets = rng.standard_normal((80, 3)), rng.standard_normal(80)
    regressor = StridiagRegressor(units=32, random_state=0).fit(rows, targets)
    assert_type(regressor, StridiagRegressor)
    assert_type(regressor.predict(rows), NDArray[Any])
    classifier = StridiagClassifier(units=32, random_state=0).fit(rows, targets > 0)
    assert_type(classifier.predict_proba(rows), NDArray[Any])
    network = nn.fit_random(rows, targets[:, None], nn.Architecture(units=16, layers=1), rng=0)
    assert_type(network, nn.Network)
    assert_type(network.decision(rows), NDArray[Any])


if __name__ == "__main__":
    algebra()
    learning()
