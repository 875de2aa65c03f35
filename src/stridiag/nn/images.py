r"""Networks for images: the user says the shape of an image, everything else follows from it.

Images of up to 256 pixels get one ordinary structured layer, a wrapped stencil of 5 x 5 diagonals (offsets w a + b,
-2 <= a, b <= 2) with as many units as pay; the readout sees them alone, not the pixels. Larger ones get tied
diagonals: banks of small filters over the whole image, rectified and pooled (see `patches`), and a sparse layer of
units that read k pooled features each, under a fresh permutation for each wrap; pre-activations have unit spread, and
the bias is minus the pre-activation at one training row. The readout is solved (see `readout` and `large_readout`);
nothing else is trained, and filters and layer never see the targets.

Shifted copies of the images can count as further images (see `copies_readout` for small ones), at one more pass for
each; and scores of classes may be let exceed their targets, at one more pass over all copies for each round (see
`margins`). Networks that pool on different grids err less alike than others; the mean of two is taken where accuracy
counts most.

Cost, for N images, K filters of r x r taps, D features, s copies and t rounds: 2 N s (1 + t) K h (w + r) r^2 flops for
the maps, N s D^2 for the products, D^3 / 3 for each penalty.

References: docs/theory/images.md.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stridiag import structure as structures
from stridiag.errors import StructureError
from stridiag.nn.average import Average
from stridiag.nn.copies_readout import ALPHAS, CopiesFit, choose_together, fit_copies
from stridiag.nn.image_features import ImageFeatures, PixelRange, StencilFeatures
from stridiag.nn.image_settings import ImagePreset, ImageSettings, checked_shape, image_settings
from stridiag.nn.large_readout import LargeChunk, solve_large
from stridiag.nn.layers import Layer, draw_source, source_width
from stridiag.nn.network import Network
from stridiag.nn.offsets import wrapped_offsets
from stridiag.nn.options import check_penalty
from stridiag.nn.patches import TiedPatches, draw_filters
from stridiag.nn.random_features import settle
from stridiag.nn.readout import Solved
from stridiag.nn.training import (
    Clock,
    LeftOut,
    ProgressHook,
    check_training_data,
    in_target_units,
    left_out,
    solve_readout,
)
from stridiag.nn.transforms import Standardization

__all__ = ["TrainedImages", "fit_images", "train_images"]

Array = NDArray[Any]

# Rows on which means, spreads and anchors are measured, and rows of features in memory at a time.
_SAMPLE, _CHUNK = 4096, 2048
# Added to the deviation of a pooled feature, in units of their mean deviation: features that hardly vary stay small.
_DEVIATION_FLOOR = 0.05
# Added to the deviation of pre-activations, in the unit of which all but a few are larger.
_SPREAD_FLOOR = 0.1
# Largest share and number of rows that are held out for the choice of the penalty.
_HELD_SHARE, _HELD = 0.1, 5000


class TrainedImages(NamedTuple):
    """A model, and what it says of training rows without them."""

    model: Network | Average
    left_out: LeftOut


def fit_images(
    X: ArrayLike,
    Z: ArrayLike,
    image_shape: tuple[int, int],
    *,
    preset: ImagePreset = "fast",
    settings: ImageSettings | None = None,
    classification: bool = False,
    alpha: float | Literal["auto"] = "auto",
    weights: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    progress: ProgressHook | None = None,
) -> Network | Average:
    """Fit a network to images: fixed features and a solved readout.

    Parameters
    ----------
    X : array_like, (n, h w)
        Images, each read line by line; any range of numbers.
    Z : array_like, (n, q)
        Targets.
    image_shape : tuple of int
        ``(h, w)``.
    preset : {"fast", "balanced", "accurate"}, default "fast"
        See `image_settings`.
    settings : ImageSettings, optional
        Instead of what the preset chooses.
    classification : bool, default False
        Whether targets are indicators of classes, of which the largest score decides: then scores may exceed them,
        with "accurate" on images of more than 256 pixels. For small images it tells only what an error is where the
        penalty is chosen.
    alpha : float or "auto", default "auto"
        Penalty of the readout. "auto" chooses it: by exact leave-one-out errors for small images, otherwise on a tenth
        of the images (at most 5,000) that the choice, not the last solve, leaves out.
    weights : array_like, (n,), optional
        Sample weights: an integer weight counts as repetition.
    rng : int, numpy.random.Generator or None
        Seed or generator of everything random.
    progress : callable, optional
        Called with a `Progress` after each step.

    Returns
    -------
    Network or Average
        The hidden part is an `ImageFeatures`, or a `StencilFeatures` for small images. "accurate" averages networks,
        and all presets do so for small images.

    Raises
    ------
    StructureError
        If images of that shape do not have as many pixels as X has columns.
    ValueError
        If shapes do not match, an option is unknown, fewer than two rows have positive weight, or hardly any patch
        of the images varies.
    NonFiniteError
        If a number is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from stridiag.nn import fit_images
    >>> noise = np.random.default_rng(0).random((300, 20, 20))
    >>> noise[:150] += np.linspace(0, 1, 20)                    # half of them are brighter to the right
    >>> X, Z = noise.reshape(300, -1), np.repeat([[1.0], [-1.0]], 150, axis=0)
    >>> net = fit_images(X[::2], Z[::2], (20, 20), rng=0)
    >>> float(((net.decision(X[1::2]) > 0) == (Z[1::2] > 0)).mean())
    1.0
    """
    return train_images(
        X,
        Z,
        image_shape,
        preset=preset,
        settings=settings,
        classification=classification,
        alpha=alpha,
        weights=weights,
        rng=rng,
        progress=progress,
    ).model


def train_images(
    X: ArrayLike,
    Z: ArrayLike,
    image_shape: tuple[int, int],
    *,
    preset: ImagePreset = "fast",
    settings: ImageSettings | None = None,
    classification: bool = False,
    alpha: float | Literal["auto"] = "auto",
    weights: ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    progress: ProgressHook | None = None,
) -> TrainedImages:
    """Do what `fit_images` says; return also scores of rows that were left out."""
    shape = checked_shape(image_shape)
    check_penalty(alpha, ("auto",))
    x, z, d = check_training_data(X, Z, weights)
    if shape[0] * shape[1] != x.shape[1]:
        raise StructureError(f"images of {shape[0]} x {shape[1]} have {shape[0] * shape[1]} pixels, got {x.shape[1]}")
    chosen = image_settings(shape, int(d.sum()), preset) if settings is None else settings
    generator = np.random.default_rng(rng)
    inputs = PixelRange.fit(x)
    x = inputs.apply(x)
    if not chosen.banks:
        small = Clock(progress, 2 * chosen.networks)
        return _train_small(x, z, d, inputs, chosen, shape, alpha, generator, small, classification=classification)
    members: list[Network] = []
    scores: list[Array] = []
    passes = [len(one.shifts) * (1 + (one.rounds if classification else 0)) for one in chosen.each]
    clock = Clock(progress, sum(passes) * -(-x.shape[0] // _CHUNK) + 3 * len(passes))
    drawn = [_draw(x, d, shape, one, generator, clock) for one in chosen.each]
    held = _held_out(x, d, generator)
    for one, hidden in zip(chosen.each, drawn, strict=True):
        member, said = _train_filters(
            x, z, d, held, inputs, hidden, one, shape, alpha, clock, classification=classification
        )
        members.append(member)
        scores.append(said)
    model = members[0] if len(members) == 1 else Average(tuple(members))
    return TrainedImages(model, LeftOut(np.flatnonzero(held), np.mean(scores, axis=0)))


def _train_filters(
    x: Array,
    z: Array,
    d: Array,
    held: NDArray[np.bool_],
    inputs: PixelRange,
    hidden: tuple[ImageFeatures, Array],
    chosen: ImageSettings,
    shape: tuple[int, int],
    alpha: float | Literal["auto"],
    clock: Clock,
    *,
    classification: bool,
) -> tuple[Network, Array]:
    """Solve the readout of drawn features with their means; return what it says of the rows held out, too."""
    features, centre = hidden
    outputs = Standardization.fit(z, d)
    targets = outputs.apply(z)
    # Copies share the weight of their image: all of them together are one observation.
    share = d / len(chosen.shifts)

    def read() -> Iterator[LargeChunk]:
        for shift in chosen.shifts:
            for first in range(0, x.shape[0], _CHUNK):
                part = slice(first, first + _CHUNK)
                rows = features.features(_shifted(x[part], shape, shift))
                yield LargeChunk(rows, targets[part], share[part], held[part])
                clock.tick("features")

    solved = solve_large(
        read,
        (features.columns, z.shape[1]),
        "holdout" if alpha == "auto" else float(alpha),
        centre,
        rounds=chosen.rounds if classification else 0,
        # The first of the shifted copies is the image itself.
        scored=int(held.sum()),
    )
    clock.tick("readout")
    return Network(inputs, features, in_target_units(solved.readout, outputs)), outputs.undo(solved.held_out)


def _train_small(
    x: Array,
    z: Array,
    d: Array,
    inputs: PixelRange,
    chosen: ImageSettings,
    shape: tuple[int, int],
    alpha: float | Literal["auto"],
    rng: np.random.Generator,
    clock: Clock,
    *,
    classification: bool,
) -> TrainedImages:
    """Train networks of one stencil and average them."""
    hidden: list[StencilFeatures] = []
    solved: list[Solved] = []
    fits: list[CopiesFit] = []
    outputs = Standardization.fit(z, d)
    copies = [_shifted(x, shape, shift) for shift in chosen.shifts]
    for _ in range(chosen.networks):
        hidden.append(StencilFeatures(_stencil(x, d, shape, chosen.units, rng)))
        clock.tick("layer")
        if len(copies) == 1:
            criterion: Any = "loo" if alpha == "auto" else alpha
            solved.append(solve_readout(x, hidden[-1], z, d, criterion, per_output=False, keep=True))
        else:
            rows = np.stack([hidden[-1].features(copy) for copy in copies], axis=1)
            fits.append(fit_copies(rows, outputs.apply(z), d, ALPHAS if alpha == "auto" else np.array([float(alpha)])))
        clock.tick("readout")
    if fits:
        found, said = choose_together(fits, outputs.apply(z), d, classification=classification)
        readouts, scores = [in_target_units(readout, outputs) for readout in found], outputs.undo(said)
    else:
        readouts = [readout for readout, _ in solved]
        scores = np.mean([left_out(x, part, z, fit).scores for part, fit in zip(hidden, solved, strict=True)], axis=0)
    members = tuple(Network(inputs, *parts) for parts in zip(hidden, readouts, strict=True))
    return TrainedImages(members[0] if len(members) == 1 else Average(members), LeftOut(np.arange(x.shape[0]), scores))


def _draws(x: Array, d: Array, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw rows with probabilities equal to their weights.

    They are quantiles along a random direction: neither the order of the rows matters nor whether a row of weight 2
    is written twice.
    """
    direction = np.asarray(rng.standard_normal(x.shape[1]), x.dtype)
    order = np.argsort(x @ direction, kind="stable")
    cumulated = np.cumsum(d[order])
    place = np.searchsorted(cumulated, rng.random(count) * cumulated[-1], side="right")
    return np.asarray(order[np.minimum(place, order.size - 1)], np.int64)


def _stencil(x: Array, d: Array, shape: tuple[int, int], units: int, rng: np.random.Generator) -> Layer:
    """Draw the layer of 5 x 5 wrapped diagonals on pixels."""
    offsets = sorted({shape[1] * a + b for a in range(-2, 3) for b in range(-2, 3)})
    size = (units, x.shape[1])
    weight = structures.random(size, wrapped_offsets(size, offsets), rng=rng)
    raw = Layer(weight, np.zeros(units), "tanh")
    return settle(raw, x, d, (), _draws(x, d, units, rng), floor=_SPREAD_FLOOR)


def _draw(
    x: Array, d: Array, shape: tuple[int, int], chosen: ImageSettings, rng: np.random.Generator, clock: Clock
) -> tuple[ImageFeatures, Array]:
    """Draw filters and layer, measure scales on a sample; return also the features' means."""
    sample = x[_draws(x, d, _SAMPLE, rng)]
    images = sample.reshape(-1, *shape)
    banks = tuple(
        TiedPatches(
            shape, draw_filters(images, count, side, rng), chosen.threshold, window=chosen.window, step=chosen.step
        )
        for side, count in chosen.banks
    )
    clock.tick("filters")
    pooled = sum(bank.columns for bank in banks)
    plain = ImageFeatures(banks, np.zeros(pooled, np.float32), np.ones(pooled, np.float32))
    values = plain.features(sample)
    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    scale = deviation + _DEVIATION_FLOOR * deviation.mean()
    hidden = replace(plain, mean=mean.astype(np.float32), scale=scale.astype(np.float32))
    centre = np.zeros(pooled)
    if chosen.units:
        values -= hidden.mean
        values /= hidden.scale
        layer = _sparse_layer(values, chosen, rng)
        centre = np.concatenate((centre, layer.forward(values).mean(axis=0, dtype=np.float64)))
        hidden = replace(hidden, layer=layer)
    clock.tick("layer")
    return hidden, centre


def _sparse_layer(values: Array, chosen: ImageSettings, rng: np.random.Generator) -> Layer:
    """Draw the layer behind the pooled features from their values on a sample, whose rows are its anchors."""
    units, inputs = chosen.units, values.shape[1]
    source = draw_source(units, inputs, rng)
    size = (units, source_width(units, inputs, shuffle=True))
    weight = structures.random(size, wrapped_offsets(size, range(chosen.diagonals)), rng=rng)
    raw = Layer(weight, np.zeros(units), "tanh", source, inputs)
    # The rows of the sample are drawn at random already.
    anchors = np.arange(units) % values.shape[0]
    layer = settle(raw, values, np.ones(values.shape[0]), (), anchors, floor=_SPREAD_FLOOR)
    return replace(layer, weight=layer.weight.astype(np.float32), bias=layer.bias.astype(np.float32))


def _held_out(x: Array, d: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose rows by a checksum of their content, so that copies of an image fall on one side."""
    share = min(_HELD_SHARE, _HELD / float(d.sum()))
    start = int(rng.integers(1 << 32))
    marks = np.fromiter((zlib.crc32(row.data, start) for row in x), np.uint64, x.shape[0])
    held: NDArray[np.bool_] = marks < share * (1 << 32)
    if not held.any() or held.all():
        held[:] = False
        held[: max(1, x.shape[0] // 10)] = True
    return held


def _shifted(x: Array, shape: tuple[int, int], shift: tuple[float, float]) -> Array:
    """Move images down and right by some pixels, linear between them; what comes in is 0."""
    moved = x.reshape(-1, *shape)
    for axis, by in enumerate(shift, start=1):
        whole = math.floor(by)
        share = by - whole
        nearer = _moved(moved, axis, whole)
        moved = nearer if share == 0.0 else (1.0 - share) * nearer + share * _moved(moved, axis, whole + 1)
    return moved.reshape(x.shape)


def _moved(images: Array, axis: int, by: int) -> Array:
    """Move images along an axis by whole pixels."""
    if by == 0:
        return images
    size = images.shape[axis]
    by = max(-size, min(by, size))
    before, after = [slice(None)] * 3, [slice(None)] * 3
    before[axis], after[axis] = slice(max(0, -by), size - max(0, by)), slice(max(0, by), size + min(0, by))
    moved = np.zeros_like(images)
    moved[tuple(after)] = images[tuple(before)]
    return moved
