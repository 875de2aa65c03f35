"""Room 5: structured networks trained without gradient descent, in NumPy and our kernels."""

from __future__ import annotations

from stridiag.nn.activations import ACTIVATIONS, Activation, activation
from stridiag.nn.architecture import Architecture
from stridiag.nn.average import Average
from stridiag.nn.calibration import brier_score, fit_temperature, log_loss
from stridiag.nn.capacity import CapacitySurface, capacity_surface
from stridiag.nn.compiled import CompiledNetwork, compile_network
from stridiag.nn.conformal import Conformal
from stridiag.nn.ensemble import Ensemble, Member
from stridiag.nn.export import export_numpy
from stridiag.nn.hidden import Hidden, Stack
from stridiag.nn.image_features import ImageFeatures, PixelRange, StencilFeatures
from stridiag.nn.image_settings import ImageSettings, image_settings
from stridiag.nn.images import fit_images
from stridiag.nn.initialisers import condition_bound, condition_numbers, draw_weight
from stridiag.nn.joint import JointSolution, joint_masked_least_squares
from stridiag.nn.layers import Layer
from stridiag.nn.links import ChosenLinks, choose_links
from stridiag.nn.masked import masked_least_squares, unit_conditions
from stridiag.nn.memory import Memory
from stridiag.nn.mixed_units import MixedUnits
from stridiag.nn.model import Model
from stridiag.nn.modes import MODES
from stridiag.nn.network import FeatureMap, Network, ParameterCount
from stridiag.nn.network_pruning import PrunedNetwork, prune_mlp, pruning_ladder
from stridiag.nn.offsets import candidate_schedules, layer_offsets, wrapped_offsets, wrapped_structure
from stridiag.nn.operations import Operations
from stridiag.nn.patches import TiedPatches
from stridiag.nn.pruning import PrunedLayer, prune_layer
from stridiag.nn.random_features import fit_random
from stridiag.nn.ranks import Both, Ranks
from stridiag.nn.reachability import reachability, reaches_all
from stridiag.nn.readout import Readout, ridge, ridge_from_rows
from stridiag.nn.recipe_plans import plan_images, plan_tabular
from stridiag.nn.recursive import RecursiveLayer, RecursiveLeastSquares
from stridiag.nn.residual import ResidualBlock, ResidualBlocks
from stridiag.nn.selection import Choice, choose
from stridiag.nn.statistics import Statistics
from stridiag.nn.storage import load, save, storable
from stridiag.nn.streaming import Stream, row_keys
from stridiag.nn.tabular import fit_tabular
from stridiag.nn.tally import Gauge, Tally
from stridiag.nn.targets import fit_targets
from stridiag.nn.training import LeftOut, Mode, Progress, Trained, train, train_features
from stridiag.nn.training_plan import TrainingPlan, plan_training
from stridiag.nn.transforms import Standardization, Transform

__all__ = [
    "ACTIVATIONS",
    "MODES",
    "Activation",
    "Architecture",
    "Average",
    "Both",
    "CapacitySurface",
    "Choice",
    "ChosenLinks",
    "CompiledNetwork",
    "Conformal",
    "Ensemble",
    "FeatureMap",
    "Gauge",
    "Hidden",
    "ImageFeatures",
    "ImageSettings",
    "JointSolution",
    "Layer",
    "LeftOut",
    "Member",
    "Memory",
    "MixedUnits",
    "Mode",
    "Model",
    "Network",
    "Operations",
    "ParameterCount",
    "PixelRange",
    "Progress",
    "PrunedLayer",
    "PrunedNetwork",
    "Ranks",
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
    "Tally",
    "TiedPatches",
    "Trained",
    "TrainingPlan",
    "Transform",
    "activation",
    "brier_score",
    "candidate_schedules",
    "capacity_surface",
    "choose",
    "choose_links",
    "compile_network",
    "condition_bound",
    "condition_numbers",
    "draw_weight",
    "export_numpy",
    "fit_images",
    "fit_random",
    "fit_tabular",
    "fit_targets",
    "fit_temperature",
    "image_settings",
    "joint_masked_least_squares",
    "layer_offsets",
    "load",
    "log_loss",
    "masked_least_squares",
    "plan_images",
    "plan_tabular",
    "plan_training",
    "prune_layer",
    "prune_mlp",
    "pruning_ladder",
    "reachability",
    "reaches_all",
    "ridge",
    "ridge_from_rows",
    "row_keys",
    "save",
    "storable",
    "train",
    "train_features",
    "unit_conditions",
    "wrapped_offsets",
    "wrapped_structure",
]
