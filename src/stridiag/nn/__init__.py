"""Room 5: structured networks trained without gradient descent, in NumPy and our kernels."""

from __future__ import annotations

from stridiag.nn.activations import ACTIVATIONS, Activation, activation
from stridiag.nn.layers import Layer
from stridiag.nn.masked import masked_least_squares
from stridiag.nn.network import Network, ParameterCount, Standardization
from stridiag.nn.offsets import layer_offsets, wrapped_offsets, wrapped_structure
from stridiag.nn.random_features import Architecture, Progress, fit_random
from stridiag.nn.readout import Readout, ridge, ridge_from_rows
from stridiag.nn.statistics import Statistics
from stridiag.nn.targets import fit_targets

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Architecture",
    "Layer",
    "Network",
    "ParameterCount",
    "Progress",
    "Readout",
    "Standardization",
    "Statistics",
    "activation",
    "fit_random",
    "fit_targets",
    "layer_offsets",
    "masked_least_squares",
    "ridge",
    "ridge_from_rows",
    "wrapped_offsets",
    "wrapped_structure",
]
