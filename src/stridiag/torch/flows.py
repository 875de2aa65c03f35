r"""Normalizing flows without couplings: stacks of invertible structured layers and monotone activations.

.. math:: z = f(x), \qquad \log p(x) = \log \mathcal N(z; 0, I) + \log \left| \det \frac{\partial f}{\partial x} \right|

Each layer is inverted exactly and its log-determinant known in O(n), so density and sampling cost the same, for
vectors of any length. Every unit of a layer is transformed, not half of them as with couplings, and none waits for
another as with autoregressive flows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import ArrayLike
from torch.distributions import Transform, constraints

import torch
from stridiag.torch.batches import require_width
from stridiag.torch.invertible import Form, StridiagInvertible
from torch import Tensor, nn

__all__ = ["SinhArcsinh", "StridiagFlow", "StridiagTransform"]


class SinhArcsinh(nn.Module):
    r"""A monotone activation for each unit, with skew and tail weight to learn.

    .. math:: y = \sinh(\delta\, \operatorname{arsinh}(x) + \varepsilon), \qquad
        \frac{\mathrm d y}{\mathrm d x} = \frac{\delta \cosh(\delta\, \operatorname{arsinh}(x) + \varepsilon)}
        {\sqrt{1 + x^2}}, \qquad x = \sinh\left(\frac{\operatorname{arsinh}(y) - \varepsilon}{\delta}\right)

    Parameters
    ----------
    features : int
        Number of units.
    limit : float, default 3
        Bound of :math:`\delta` and :math:`1 / \delta`, above 1, so that neither direction can degenerate.
    device, dtype
        Of the parameters.

    References
    ----------
    M. C. Jones and A. Pewsey, Sinh-arcsinh distributions, Biometrika 96 (2009).

    Examples
    --------
    >>> import torch
    >>> from stridiag.torch.flows import SinhArcsinh
    >>> f = SinhArcsinh(3)
    >>> x = torch.tensor([-1.0, 0.0, 2.0])
    >>> bool(torch.allclose(f.inverse(f(x)), x, atol=1e-6))
    True
    """

    def __init__(
        self, features: int, limit: float = 3.0, *, device: Any = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        if not 1.0 < limit < math.inf:
            raise ValueError(f"limit must be above 1 and finite, got {limit}")
        self.limit = math.log(limit)
        self.raw_tail = nn.Parameter(torch.zeros(features, device=device, dtype=dtype))
        self.skew = nn.Parameter(torch.zeros(features, device=device, dtype=dtype))

    def _log_tail(self) -> Tensor:
        return self.limit * torch.tanh(self.raw_tail)

    def forward_with_log_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return y, and the logarithm of dy/dx, unit by unit."""
        log_tail = self._log_tail()
        inner = log_tail.exp() * torch.asinh(x) + self.skew
        # log cosh without overflow.
        size = inner.abs()
        log_cosh = size + torch.log1p(torch.exp(-2.0 * size)) - math.log(2.0)
        return torch.sinh(inner), log_tail + log_cosh - 0.5 * torch.log1p(x * x)

    def forward(self, x: Tensor) -> Tensor:
        """Return y, of the shape of x."""
        return torch.sinh(self._log_tail().exp() * torch.asinh(x) + self.skew)

    def inverse(self, y: Tensor) -> Tensor:
        """Return x, of the shape of y."""
        return torch.sinh((torch.asinh(y) - self.skew) * torch.exp(-self._log_tail()))


class StridiagFlow(nn.Module):
    r"""A density on vectors: invertible structured layers with monotone activations between, and a normal base.

    Parameters
    ----------
    features : int
        Length of the vectors.
    layers : int, default 3
        Number of linear layers; an activation stands between each and the next.
    offsets : iterable of int, or a sequence of one such for each layer, default (-1, 0, 1)
        Diagonals of the linear layers. Growing strides carry dependence over long distances in few layers.
    links : tuple of array_like, optional
        ``(rows, columns)`` of further entries, in every layer.
    form, rho, log_scale
        As in `StridiagInvertible`.
    device, dtype
        Of the parameters.

    Examples
    --------
    >>> import torch
    >>> from stridiag.torch.flows import StridiagFlow
    >>> flow = StridiagFlow(50, layers=2, offsets=[(-1, 0, 1), (-7, 0, 7)])
    >>> x = flow.sample((4,))
    >>> x.shape, flow.log_prob(x).shape
    (torch.Size([4, 50]), torch.Size([4]))
    """

    def __init__(
        self,
        features: int,
        layers: int = 3,
        offsets: Iterable[int] | Sequence[Iterable[int]] = (-1, 0, 1),
        links: tuple[ArrayLike, ArrayLike] | None = None,
        *,
        form: Form = "product",
        rho: float = 0.7,
        log_scale: float = 2.0,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        given: list[Any] = list(offsets)
        each = given if given and not isinstance(given[0], int) else [given] * layers
        if len(each) != layers:
            raise ValueError(f"offsets must hold one sequence for each of {layers} layers, got {len(each)}")
        self.features = features
        self.linear = nn.ModuleList(
            StridiagInvertible(
                features, own, links, form=form, rho=rho, log_scale=log_scale, device=device, dtype=dtype
            )
            for own in each
        )
        self.activations = nn.ModuleList(SinhArcsinh(features, device=device, dtype=dtype) for _ in range(layers - 1))

    def transform(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z = f(x), (..., n), and the logarithm of the Jacobian determinant's magnitude, (...)."""
        require_width(x, self.features, "x")
        z = x
        total = x.new_zeros(x.shape[:-1])
        for k, layer in enumerate(self.linear):
            if k:
                activation: Any = self.activations[k - 1]
                z, slope = activation.forward_with_log_slope(z)
                total = total + slope.sum(-1)
            invertible: Any = layer
            z = invertible(z)
            total = total + invertible.log_abs_det()
        return z, total

    def forward(self, x: Tensor) -> Tensor:
        """Return z = f(x), (..., n)."""
        return self.transform(x)[0]

    def inverse(self, z: Tensor) -> Tensor:
        """Return the x with f(x) = z, (..., n)."""
        x = z
        for k in reversed(range(len(self.linear))):
            layer: Any = self.linear[k]
            x = layer.inverse(x)
            if k:
                activation: Any = self.activations[k - 1]
                x = activation.inverse(x)
        return x

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the logarithm of the density at x, (...), for vectors along the last axis."""
        z, total = self.transform(x)
        return total - 0.5 * ((z * z).sum(-1) + self.features * math.log(2.0 * math.pi))

    def sample(self, shape: Sequence[int] = (), *, generator: torch.Generator | None = None) -> Tensor:
        """Draw vectors, ``(*shape, n)``, without a gradient."""
        with torch.no_grad():
            return self.rsample(shape, generator=generator)

    def rsample(self, shape: Sequence[int] = (), *, generator: torch.Generator | None = None) -> Tensor:
        """Draw vectors, ``(*shape, n)``, that the flow's parameters can be differentiated through."""
        first: Any = self.linear[0]
        like = first.raw_scale
        z = torch.randn(*shape, self.features, generator=generator, dtype=like.dtype, device=like.device)
        return self.inverse(z)


class StridiagTransform(Transform):
    r"""An invertible layer or a flow as a ``torch.distributions`` transform, which zuko takes too.

    Parameters
    ----------
    module : StridiagInvertible or StridiagFlow
        Applied to vectors along the last axis.
    cache_size : int, default 0
        As in ``torch.distributions``: with 1 the last input is remembered for its output.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import Independent, Normal, TransformedDistribution
    >>> from stridiag.torch import StridiagInvertible
    >>> from stridiag.torch.flows import StridiagTransform
    >>> base = Independent(Normal(torch.zeros(20), torch.ones(20)), 1)
    >>> p = TransformedDistribution(base, [StridiagTransform(StridiagInvertible(20))])
    >>> p.log_prob(p.sample((3,))).shape
    torch.Size([3])
    """

    bijective = True
    domain = constraints.real_vector
    codomain = constraints.real_vector

    def __init__(self, module: StridiagInvertible | StridiagFlow, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.module = module

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StridiagTransform) and self.module is other.module

    def __hash__(self) -> int:
        return hash((StridiagTransform, id(self.module)))

    def with_cache(self, cache_size: int = 1) -> StridiagTransform:
        """Return the transform with another size of cache."""
        return self if self._cache_size == cache_size else StridiagTransform(self.module, cache_size)

    def _call(self, x: Tensor) -> Tensor:
        return self.module(x)  # type: ignore[no-any-return]

    def _inverse(self, y: Tensor) -> Tensor:
        return self.module.inverse(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log |det dy/dx|, (...)."""
        return self.call_and_ladj(x)[1]

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return y and log |det dy/dx| together, as zuko asks for."""
        if isinstance(self.module, StridiagFlow):
            return self.module.transform(x)
        return self.module(x), self.module.log_abs_det().expand(x.shape[:-1])
