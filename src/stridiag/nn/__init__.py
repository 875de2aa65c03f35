"""Room 5: structured networks trained without gradient descent, in NumPy and our kernels."""

from __future__ import annotations

from stridiag.nn.activations import ACTIVATIONS, Activation, activation
from stridiag.nn.architecture import Architecture
from stridiag.nn.compiled import CompiledNetwork, compile_network
from stridiag.nn.conformal import Conformal
from stridiag.nn.export import export_numpy
from stridiag.nn.hidden import Hidden, Stack
from stridiag.nn.image_features import ImageFeatures, PixelRange, StencilFeatures
from stridiag.nn.image_settings import ImageSettings, image_settings
from stridiag.nn.images import fit_images
from stridiag.nn.initialisers import condition_bound, condition_numbers, draw_weight
from stridiag.nn.joint import joint_masked_least_squares
from stridiag.nn.layers import Layer
from stridiag.nn.masked import masked_least_squares, unit_conditions
from stridiag.nn.modes import MODES
from stridiag.nn.network import Network, ParameterCount
from stridiag.nn.offsets import candidate_schedules, layer_offsets, wrapped_offsets, wrapped_structure
from stridiag.nn.operations import Operations
from stridiag.nn.patches import TiedPatches
from stridiag.nn.random_features import fit_random
from stridiag.nn.reachability import reachability, reaches_all
from stridiag.nn.readout import Readout, ridge, ridge_from_rows
from stridiag.nn.recursive import RecursiveLayer, RecursiveLeastSquares
from stridiag.nn.residual import ResidualBlock, ResidualBlocks
from stridiag.nn.statistics import Statistics
from stridiag.nn.streaming import Stream, row_keys
from stridiag.nn.targets import fit_targets
from stridiag.nn.training import Mode, Progress, Trained, train
from stridiag.nn.training_plan import TrainingPlan, plan_training
from stridiag.nn.transforms import Standardization, Transform

__all__ = [
    "ACTIVATIONS",
    "MODES",
    "Activation",
    "Architecture",
    "CompiledNetwork",
    "Conformal",
    "Hidden",
    "ImageFeatures",
    "ImageSettings",
    "Layer",
    "Mode",
    "Network",
    "Operations",
    "ParameterCount",
    "PixelRange",
    "Progress",
    "Readout",
    "RecursiveLayer",
    "RecursiveLeastSquares",
    "ResidualBlock",
    "ResidualBlocks",
    "Stack",
    "Standardization",
    "Statistics",
    "StencilFeatures",
    "Stream",
    "TiedPatches",
    "Trained",
    "TrainingPlan",
    "Transform",
    "activation",
    "candidate_schedules",
    "compile_network",
    "condition_bound",
    "condition_numbers",
    "draw_weight",
    "export_numpy",
    "fit_images",
    "fit_random",
    "fit_targets",
    "image_settings",
    "joint_masked_least_squares",
    "layer_offsets",
    "masked_least_squares",
    "plan_training",
    "reachability",
    "reaches_all",
    "ridge",
    "ridge_from_rows",
    "row_keys",
    "train",
    "unit_conditions",
    "wrapped_offsets",
    "wrapped_structure",
]
