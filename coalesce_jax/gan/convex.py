r"""Solves the WGAN of a linear generator and a quadratic critic in closed form.

The critic :math:`D(x) = x^T A x` has the penalty :math:`\beta |A|_*`, the sum
of the absolute eigenvalues of A, as weight decay of a two-layer network with
quadratic activations has. The generator descends its score and its own mean
squared norm. This game is the convex problem

.. math:: \min_G \mathrm{tr} (G^T G / N), \quad
  |X^T X / N - G^T G / N|_2 \le \beta

With the singular values :math:`X / \sqrt N = U \Sigma V^T` and
:math:`Z / \sqrt N = P D Q^T` its solution is

.. math:: G = Z W, \quad W = Q D^{-1} (\Sigma^2 - \beta)_+^{1/2} V^T

Reimplemented from the equations of Sahiner et al.,
https://arxiv.org/abs/2107.05680; there the matrices are not divided by the
number of samples. The residual, the spectral norm above, equals beta at the
solution, which certifies it.

Shapes: N samples, Z latent, D dimensions, H, W, C image, R rank. `beta` and
second moments are in squared units of the samples.
"""

from collections.abc import Sequence
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.ops import precision
from coalesce_jax.ot import validation


class Solution(NamedTuple):
  """A linear generator of the least norm.

  Attributes:
    weights: W, `[Z, D]`.
    value: mean squared norm of the generator's samples, the optimal value.
    residual: spectral norm of the difference of second moments. It is beta at
      the optimum, unless the data are within beta of 0, or have more directions
      of variance above beta than the latents have dimensions.
    rank: number of directions that the generator uses.
  """

  weights: jax.Array
  value: jax.Array
  residual: jax.Array
  rank: jax.Array


class Progressive(NamedTuple):
  """Linear generators, each of twice the side of the one before.

  Attributes:
    weights: of each stage; `[Z, D]` of the first, `[D, D]` of later ones, with
      the D of the stage.
    mean: mean of the images of the last stage, `[H, W, C]`.
    residuals: spectral norm of the difference of second moments, by stage.
    betas: beta of each stage.
    side: side of the images of the first stage.
  """

  weights: tuple[jax.Array, ...]
  mean: jax.Array
  residuals: tuple[float, ...]
  betas: tuple[float, ...]
  side: int


def residual(samples: jax.Array, generated: jax.Array) -> jax.Array:
  """Computes the spectral norm of the difference of second moments.

  Args:
    samples: `[N, D]`.
    generated: `[M, D]`.
  """
  gap = _moment(samples) - _moment(generated)
  return jnp.max(jnp.abs(jnp.linalg.eigvalsh(gap)))


def dual_value(
  samples: jax.Array, critic: jax.Array, beta: jax.Array | float
) -> jax.Array:
  """Computes a lower bound of the optimal value, from any critic.

  A generator gains nothing from a critic whose eigenvalues are at most 1. So
  larger eigenvalues are set to 1.

  Args:
    samples: X, `[N, D]`.
    critic: A, `[D, D]`, symmetric.
    beta: see `solve`.
  """
  values, vectors = jnp.linalg.eigh(critic)
  values = jnp.minimum(values, 1.0)
  variances = jnp.mean(precision.matmul(samples, vectors) ** 2, 0)
  return jnp.sum(values * variances - beta * jnp.abs(values))


@jax.jit
def solve(
  latents: jax.Array, samples: jax.Array, beta: jax.Array | float
) -> Solution:
  """Computes the optimal linear generator of given latents.

  Args:
    latents: `[N, Z]`.
    samples: X, `[N, D]`; they are not centred.
    beta: largest spectral norm of the difference of second moments, at least 0.
      With 0 the second moments agree, as those of the PCA sampler do.
  """
  q, inverse = _whitening(latents)
  sigma, v = _singular(samples)
  root = _roots(inverse, sigma, beta)
  return _solution(latents, samples, q, inverse, root, v)


def weights(
  latents: jax.Array,
  samples: jax.Array,
  beta: jax.Array | float,
  *,
  relative: bool = False,
) -> jax.Array:
  """Computes W of `solve` alone, `[Z, D]`.

  The certificate needs the eigenvalues of a matrix `[D, D]`; this function does
  not, so that it is fast for many dimensions.

  Args:
    latents: `[N, Z]`.
    samples: X, `[N, D]`; they are not centred.
    beta: see `solve`.
    relative: whether beta is one in units of the largest second moment.
  """
  q, inverse = _whitening(latents)
  sigma, v = _singular(samples)
  unit = sigma[0] ** 2 if relative else 1.0
  return _weights(q, inverse, _roots(inverse, sigma, beta * unit), v)


@functools.partial(jax.jit, static_argnames='rank')
def pca(latents: jax.Array, samples: jax.Array, rank: int) -> Solution:
  """Computes the PCA sampler, which keeps the variances of R directions.

  It serves as a control: its residual is the largest variance left out.

  Args:
    latents: `[N, Z]`.
    samples: `[N, D]`; they are not centred.
    rank: R, at most Z and D.
  """
  q, inverse = _whitening(latents)
  sigma, v = _singular(samples)
  root = jnp.where(inverse[:rank] > 0.0, sigma[:rank], 0.0)
  return _solution(latents, samples, q, inverse, root, v)


def progressive(
  latents: Any, images: Any, betas: Sequence[float]
) -> Progressive:
  """Computes generators of growing images, each in closed form.

  The images of each stage are means over blocks of pixels. The latents of a
  later stage are the output of the one before, of twice the side. So no stage
  uses more directions than the one before, and these are the directions whose
  variance is above its beta. Images of half the side have about a quarter of
  the squared norm, which asks for a smaller beta. The mean image is subtracted
  and added again by `generate`, in contrast to the paper.

  Args:
    latents: `[N, Z]`.
    images: `[N, H, W, C]` with H = W, floats.
    betas: beta of each stage, the smallest images first.

  Raises:
    ValueError: an argument is invalid, or the side cannot be halved often
      enough.
  """
  latents = jnp.asarray(validation.point_cloud(latents, 'latents'))
  images = validation.array(images, 'images')
  if images.ndim != 4 or images.shape[1] != images.shape[2] or not images.size:
    raise ValueError(f'images: shape {images.shape} is not [N, H, H, C]')
  if not np.isfinite(images).all():
    raise ValueError('images: values are not all finite')
  if len(images) != len(latents):
    raise ValueError(f'latents: {len(latents)} for {len(images)} images')
  if not betas:
    raise ValueError('betas: there is none')
  for beta in betas:
    if not (np.isfinite(beta) and beta >= 0.0):
      raise ValueError(f'betas: {beta} is not at least 0')
  side, odd = divmod(images.shape[1], 2 ** (len(betas) - 1))
  if odd:
    raise ValueError(
      f'images: side {images.shape[1]} cannot be halved {len(betas) - 1} times'
    )
  exact = jnp.asarray(images)
  mean = exact.mean(0)
  centred = exact - mean[None]
  weights, residuals, made = [], [], latents
  for k, beta in enumerate(betas):
    small = shrink(centred, 2 ** (len(betas) - 1 - k)).reshape(len(images), -1)
    found = solve(made, small, beta)
    weights.append(found.weights)
    residuals.append(float(found.residual))
    made = _doubled(
      precision.matmul(made, found.weights), side * 2**k, images.shape[3]
    )
  return Progressive(
    tuple(weights), mean, tuple(residuals), tuple(map(float, betas)), side
  )


def generate(model: Progressive, latents: jax.Array) -> jax.Array:
  """Generates images `[N, H, W, C]` from latents `[N, Z]`."""
  made = latents
  for k, weights in enumerate(model.weights):
    if k:
      made = _doubled(made, model.side * 2 ** (k - 1), model.mean.shape[2])
    made = precision.matmul(made, weights)
  return made.reshape(-1, *model.mean.shape) + model.mean[None]


def shrink(images: jax.Array, factor: int) -> jax.Array:
  """Averages blocks of pixels: `[N, H, W, C]` to `[N, H / f, W / f, C]`."""
  n, h, w, c = images.shape
  blocks = images.reshape(n, h // factor, factor, w // factor, factor, c)
  return blocks.mean((2, 4))


def _doubled(flat: jax.Array, side: int, channels: int) -> jax.Array:
  """Repeats each pixel of flat images `[N, D]`; returns `[N, 4 D]`."""
  images = flat.reshape(len(flat), side, side, channels)
  return images.repeat(2, 1).repeat(2, 2).reshape(len(flat), -1)


def _solution(
  latents: jax.Array,
  samples: jax.Array,
  q: jax.Array,
  inverse: jax.Array,
  root: jax.Array,
  v: jax.Array,
) -> Solution:
  """Returns the generator of singular values `root`, `[R]`."""
  found = _weights(q, inverse, root, v)
  generated = precision.matmul(latents, found)
  return Solution(
    found,
    jnp.sum(generated**2) / len(latents),
    residual(samples, generated),
    jnp.sum(root > 0.0),
  )


def _weights(
  q: jax.Array, inverse: jax.Array, root: jax.Array, v: jax.Array
) -> jax.Array:
  keep = len(root)
  return precision.matmul(q[:, :keep] * (inverse[:keep] * root)[None], v[:keep])


def _roots(
  inverse: jax.Array, sigma: jax.Array, beta: jax.Array | float
) -> jax.Array:
  """Returns the singular values of the generator's samples, `[R]`."""
  keep = min(len(inverse), len(sigma))
  # Both are in falling order: the largest variance of the data gets that of the
  # latents, which makes the weights smallest.
  root = jnp.sqrt(jnp.maximum(sigma[:keep] ** 2 - beta, 0.0))
  return jnp.where(inverse[:keep] > 0.0, root, 0.0)


def _whitening(latents: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns Q, `[Z, R]`, and 1 / D, `[R]`, 0 where rounding is all there is."""
  d, q = _singular(latents)
  least = d[0] * max(latents.shape) * jnp.finfo(latents.dtype).eps
  return q.T, jnp.where(d > least, 1.0 / jnp.maximum(d, least), 0.0)


def _singular(samples: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns singular values `[R]` and right vectors `[R, D]` of the moment."""
  scale = jnp.sqrt(jnp.asarray(len(samples), samples.dtype))
  _, values, vectors = jnp.linalg.svd(samples / scale, full_matrices=False)
  return values, vectors


def _moment(samples: jax.Array) -> jax.Array:
  return precision.matmul(samples.T, samples) / len(samples)
