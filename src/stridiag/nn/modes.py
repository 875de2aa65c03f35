"""The modes of training by name, as the estimators' parameter `training` gives them."""

from __future__ import annotations

from stridiag.nn.autoencoder import AUTOENCODER
from stridiag.nn.projection import PROJECTION
from stridiag.nn.random_features import RANDOM
from stridiag.nn.residual import RESIDUAL
from stridiag.nn.targets import CORRECTED_TARGETS, TARGETS
from stridiag.nn.training import Mode

__all__ = ["MODES", "UNSUPERVISED"]

MODES: dict[str, Mode] = {
    "random": RANDOM,
    "residual": RESIDUAL,
    "targets": TARGETS,
    "corrected-targets": CORRECTED_TARGETS,
    "autoencoder": AUTOENCODER,
    "projection": PROJECTION,
}

# Modes whose hidden part does not look at the targets.
UNSUPERVISED = ("random", "autoencoder")
