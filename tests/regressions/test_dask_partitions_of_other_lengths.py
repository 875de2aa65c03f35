"""Targets filtered in another way than the rows gave a model of rows and targets that do not belong together."""

import numpy as np
import pytest

pytest.importorskip("dask")

import dask.array as da
import dask.dataframe as dd
import pandas as pd

import dask
from stridiag import dask as wing
from stridiag.sklearn import StridiagRegressor

X = np.random.default_rng(0).standard_normal((90, 3))


@pytest.mark.parametrize("framed", [False, True])
def test_partitions_of_unknown_and_different_lengths_are_refused(framed):
    rows, targets = da.from_array(X, chunks=(30, 3)), da.from_array(X[:, 0], chunks=30)
    if framed:
        frame = rows.to_dask_dataframe(columns=list("abc"))
        rows, targets = frame[frame.a > 0], frame["a"]
    else:
        rows = rows[targets > 0]
    network = StridiagRegressor(units=4, layers=1, random_state=0)
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(ValueError, match=r"as many rows in each partition, got 1\d and 30"),
    ):
        wing.fit(network, rows, targets, sample_rows=10)


def test_a_frame_of_objects_predicts_as_it_fits():
    frame = pd.DataFrame(X, columns=list("abc"))
    model = StridiagRegressor(units=4, layers=1, random_state=0).fit(frame, X[:, 0])
    with dask.config.set({"scheduler": "synchronous", "dataframe.convert-string": False}):
        found = wing.predict(model, dd.from_pandas(frame.astype(object), npartitions=3)).compute()
    np.testing.assert_allclose(found, model.predict(frame), rtol=1e-12)
