r"""Defines critics that are 1-Lipschitz by construction, without a penalty.

`Cones` is the lower envelope of M cones,

.. math:: f(x) = -\tau \log \sum_m \exp(-(|x - a_m| + b_m) / \tau),

with learned centres, heights and temperature. Its gradient is a mean of unit
vectors, so its norm is at most 1. Every 1-Lipschitz function is a limit of such
envelopes, by McShane's extension of its values at the centres. The optimal
potential of a discrete distribution is an envelope with its atoms as centres.

`Envelopes` adds an upper envelope and a linear function.

`GroupSort` is a perceptron of orthonormal layers whose activation sorts pairs,
Anil, Lucas, Grosse, https://arxiv.org/abs/1811.05381.

Shapes: B batch, D dimensions of one flattened sample, M cones.
"""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.ops import precision

# Up to so many dimensions distances are computed from differences `[B, M, D]`.
# In more dimensions they are computed from a matrix product.
DIRECT_DIMENSIONS = 8


class Cones(nn.Module):
  """Maps samples `[B, ...]` to values `[B]` by the lower envelope of M cones.

  Attributes:
    count: M.
    scale: half the width of the box in which the centres are initialized, about
      that of the samples. The parameters are in units of it.
    temperature: initial temperature, in units of the samples.
  """

  count: int
  scale: float = 1.0
  temperature: float = 1.0

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = x.reshape(x.shape[0], -1)
    size = x.shape[1]

    def box(key, shape):
      return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)

    centers = self.scale * self.param('centers', box, (self.count, size))
    # The factor slows the heights: a cone that is too high gets no gradient and
    # stays unused.
    heights = self.param('heights', nn.initializers.zeros, (self.count,))
    heights = 0.1 * self.scale * heights
    log = self.param('temperature', nn.initializers.zeros, ())
    temperature = self.temperature * jnp.exp(0.25 * log)
    cones = distances(x, centers) + heights[None]
    return -temperature * jax.nn.logsumexp(-cones / temperature, axis=1)


class Envelopes(nn.Module):
  """Maps samples `[B, ...]` to values `[B]` by a mean of three functions.

  They are a linear function, the lower envelope of M cones and the upper
  envelope of M inverted cones, with learned weights that sum to 1. A lower
  envelope alone needs exponentially many cones in D to decrease from a point in
  all directions.

  Attributes:
    count: M.
    scale: see `Cones`.
    temperature: see `Cones`.
  """

  count: int
  scale: float = 1.0
  temperature: float = 1.0

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = x.reshape(x.shape[0], -1)
    slope = self.param('slope', nn.initializers.zeros, (x.shape[1],))
    slope = slope * jax.lax.rsqrt(jnp.maximum(jnp.sum(slope * slope), 1.0))
    mixture = self.param('mixture', nn.initializers.zeros, (3,))
    weights = jax.nn.softmax(mixture)
    make = functools.partial(Cones, self.count, self.scale, self.temperature)
    lower, upper = make(name='lower')(x), -make(name='upper')(x)
    linear = precision.matmul(x, slope)
    return weights[0] * linear + weights[1] * lower + weights[2] * upper


class GroupSort(nn.Module):
  """Maps samples `[B, ...]` to values `[B]` by orthonormal layers.

  Attributes:
    hidden: sizes of the hidden layers, which must be even.
    iterations: iterations of `orthonormal`.
  """

  hidden: tuple[int, ...]
  iterations: int = 8

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = x.reshape(x.shape[0], -1)
    init = nn.initializers.orthogonal()
    for i, width in enumerate((*self.hidden, 1)):
      kernel = self.param(f'kernel_{i}', init, (x.shape[1], width))
      bias = self.param(f'bias_{i}', nn.initializers.zeros, (width,))
      x = precision.matmul(x, orthonormal(kernel, self.iterations)) + bias[None]
      if i < len(self.hidden):
        a, b = x[:, : width // 2], x[:, width // 2 :]
        x = jnp.concatenate([jnp.minimum(a, b), jnp.maximum(a, b)], 1)
    return x[:, 0]


def orthonormal(kernel: jax.Array, iterations: int = 8) -> jax.Array:
  r"""Computes a matrix near `kernel` with orthonormal rows or columns.

  It iterates :math:`W \leftarrow W (3 - W^T W) / 2`, Bjorck and Bowie,
  https://doi.org/10.1137/0708036. The iteration starts from a spectral norm of
  at most 1 and keeps that bound, also before it converges.

  Args:
    kernel: `[I, O]`.
    iterations: number of iterations.

  Returns:
    A matrix `[I, O]` of spectral norm at most 1.
  """
  wide = kernel.shape[0] < kernel.shape[1]
  w = kernel.T if wide else kernel
  # The largest absolute row sum of W^T W bounds the squared spectral norm.
  bound = jnp.max(jnp.sum(jnp.abs(precision.matmul(w.T, w)), 1))
  w = w * jax.lax.rsqrt(bound)
  for _ in range(iterations):
    w = 1.5 * w - 0.5 * precision.matmul(w, precision.matmul(w.T, w))
  return w.T if wide else w


def distances(x: jax.Array, centers: jax.Array) -> jax.Array:
  """Computes distances to centres, with gradients of norm at most 1.

  Args:
    x: points, `[B, D]`.
    centers: `[M, D]`.

  Returns:
    Distances, `[B, M]`. Near 0 they are rounded up.
  """
  if x.shape[1] <= DIRECT_DIMENSIONS:
    gap = x[:, None] - centers[None]
    return jnp.sqrt(jnp.sum(gap * gap, -1) + 1e-12)
  own, others = jnp.sum(x * x, 1), jnp.sum(centers * centers, 1)
  squared = own[:, None] + others[None] - 2.0 * precision.matmul(x, centers.T)
  # The tip exceeds the rounding error of the product. So the gradient, which is
  # x - a divided by this root, has a norm below 1 near a centre too.
  tip = (
    4.0
    * np.finfo(np.float32).eps
    * jax.lax.stop_gradient(own[:, None] + others[None])
  )
  return jnp.sqrt(jnp.maximum(squared, 0.0) + tip + 1e-12)
