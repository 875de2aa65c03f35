"""Room 5: structured networks trained without gradient descent, in NumPy and our kernels."""

from __future__ import annotations

from stridiag.nn.activations import ACTIVATIONS, Activation, activation
from stridiag.nn.architecture import Architecture
from stridiag.nn.conformal import Conformal
from stridiag.nn.hidden import Hidden, Stack
from stridiag.nn.layers import Layer
from stridiag.nn.masked import masked_least_squares
from stridiag.nn.network import Network, ParameterCount
from stridiag.nn.offsets import layer_offsets, wrapped_offsets, wrapped_structure
from stridiag.nn.random_features import fit_random
from stridiag.nn.readout import Readout, ridge, ridge_from_rows
from stridiag.nn.recursive import RecursiveLayer, RecursiveLeastSquares
from stridiag.nn.statistics import Statistics
from stridiag.nn.streaming import Stream, row_keys
from stridiag.nn.targets import fit_targets
from stridiag.nn.training import Progress
from stridiag.nn.transforms import Standardization, Transform

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Architecture",
    "Conformal",
    "Hidden",
    "Layer",
    "Network",
    "ParameterCount",
    "Progress",
    "Readout",
    "RecursiveLayer",
    "RecursiveLeastSquares",
    "Stack",
    "Standardization",
    "Statistics",
    "Stream",
    "Transform",
    "activation",
    "fit_random",
    "fit_targets",
    "layer_offsets",
    "masked_least_squares",
    "ridge",
    "ridge_from_rows",
    "row_keys",
    "wrapped_offsets",
    "wrapped_structure",
]
