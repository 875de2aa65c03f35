"""The modes of training by name, as the estimators' parameter `training` gives them."""

from __future__ import annotations

from stridiag.nn.random_features import RANDOM
from stridiag.nn.targets import TARGETS
from stridiag.nn.training import Mode

__all__ = ["MODES"]

MODES: dict[str, Mode] = {"random": RANDOM, "targets": TARGETS}
