from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from stridiag.sklearn import StridiagClassifier, StridiagRegressor


@parametrize_with_checks(
    [
        StridiagClassifier(units=48, layers=2),
        StridiagRegressor(units=48, layers=2),
        StridiagClassifier(units=24, layers=2, training="targets", links=5),
        StridiagRegressor(units=24, layers=2, training="targets", offsets=(0, 2, -3)),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
