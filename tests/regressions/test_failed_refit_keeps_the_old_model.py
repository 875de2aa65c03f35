"""A refit that failed (a raising callback, a bad option) left new classes beside the old network."""

import numpy as np
import pytest

from stridiag.sklearn import StridiagClassifier


@pytest.mark.parametrize("bad", ["callback", "alpha"])
def test_a_failed_refit_changes_nothing(bad):
    def stop(_):
        raise RuntimeError("stop")

    x = np.random.default_rng(0).standard_normal((90, 5))
    model = StridiagClassifier(units=16, layers=1, random_state=0).fit(x, x[:, 0] > 0)
    before = model.predict(x)
    model.set_params(**({"callback": stop} if bad == "callback" else {"alpha": -1.0}))
    with pytest.raises((RuntimeError, ValueError)):
        model.fit(x, np.array(["a", "b", "c"])[np.arange(90) % 3])
    np.testing.assert_array_equal(model.predict(x), before)
