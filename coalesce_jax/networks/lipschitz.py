r"""Critics of slope at most 1 by construction: no penalty is needed.

`Cones` is the lower envelope of M cones,

.. math:: f(x) = -\tau \log \sum_m \exp(-(|x - a_m| + b_m) / \tau),

with learned centres, heights and temperature. Every 1-Lipschitz function is a
limit of such envelopes (McShane's extension of its values at the centres), and
the optimal potential of a discrete law is one with its atoms as centres. A
gradient is a mean of unit vectors, so never longer than 1.

`Envelopes` also has cones that point down, and a linear part.

`GroupSort` is a perceptron of orthonormal layers with sorted pairs as
activation, Anil, Lucas, Grosse, https://arxiv.org/abs/1811.05381.

Shapes: B batch, D dimensions of one flattened sample, M cones.
"""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.ops import precision

# Up to here distances are taken from differences, `[B, M, D]`; beyond, from a
# product, whose rounding needs rounded tips.
DIRECT_DIMENSIONS = 8


class Cones(nn.Module):
  """`[B, ...]` -> `[B]`, slope at most 1.

  Attributes:
    count: M.
    scale: half-width of the box in which the centres start, about that of the
      samples; steps are in units of it.
    temperature: at the start, in the units of the samples; it is learned.
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
    # Slower than the centres: a cone that is too high never comes back.
    heights = self.param('heights', nn.initializers.zeros, (self.count,))
    heights = 0.1 * self.scale * heights
    log = self.param('temperature', nn.initializers.zeros, ())
    temperature = self.temperature * jnp.exp(0.25 * log)
    cones = distances(x, centers) + heights[None]
    return -temperature * jax.nn.logsumexp(-cones / temperature, axis=1)


class Envelopes(nn.Module):
  """`[B, ...]` -> `[B]`, slope at most 1: a mean of three such functions.

  A linear one, the lower envelope of M cones and the upper envelope of M
  cones turned over, with learned weights that sum to 1. A lower envelope
  alone needs a number of cones that grows exponentially with D to fall away
  from a point on all sides.

  Attributes:
    count: M.
    scale: as of `Cones`.
    temperature: as of `Cones`.
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
    share = jax.nn.softmax(mixture)
    make = functools.partial(Cones, self.count, self.scale, self.temperature)
    lower, upper = make(name='lower')(x), -make(name='upper')(x)
    linear = precision.matmul(x, slope)
    return share[0] * linear + share[1] * lower + share[2] * upper


class GroupSort(nn.Module):
  """`[B, ...]` -> `[B]`, slope at most 1; even hidden sizes.

  Attributes:
    hidden: sizes of the hidden layers.
    iterations: of the orthonormalisation.
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
  r"""The matrix near `kernel` `[I, O]` with orthonormal rows or columns.

  :math:`W \leftarrow W (3 - W^T W) / 2`, Bjorck and Bowie,
  https://doi.org/10.1137/0708036, from a start of spectral norm at most 1,
  which it never leaves: the bound holds before convergence too.
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
  """`[B, D]`, `[M, D]` -> `[B, M]`, of slope at most 1."""
  if x.shape[1] <= DIRECT_DIMENSIONS:
    gap = x[:, None] - centers[None]
    return jnp.sqrt(jnp.sum(gap * gap, -1) + 1e-12)
  own, others = jnp.sum(x * x, 1), jnp.sum(centers * centers, 1)
  squared = own[:, None] + others[None] - 2.0 * precision.matmul(x, centers.T)
  # Above the rounding error of the product, so that a gradient, x - a over
  # this root, stays below 1 at a tip.
  tip = (
    4.0
    * np.finfo(np.float32).eps
    * jax.lax.stop_gradient(own[:, None] + others[None])
  )
  return jnp.sqrt(jnp.maximum(squared, 0.0) + tip + 1e-12)
