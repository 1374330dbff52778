r"""Finds the W2 barycenter of samples by congruent potentials.

.. math::
  \min_\psi \sum_j w_j \int \psi_j^* \, d\mu_j, \quad
  \sum_j w_j \psi_j(x) = \tfrac12 |x|^2

This is the dual problem of Agueh and Carlier,
https://doi.org/10.1137/100805741, with the potentials of `congruent`. They obey
the equation exactly, without a penalty, in contrast to Korotin et al.,
https://arxiv.org/abs/2102.01752. No shape of the inputs is assumed: quadratic
potentials would make the first two moments agree, and the hidden units find
what moments do not see. For given directions and offsets the problem is convex.

Shapes: J inputs, N samples of each, D dimensions, H hidden units, T iterations.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.ot import congruent
from coalesce_jax.ot import congruent_dual
from coalesce_jax.ot import gaussians
from coalesce_jax.ot import validation


class Fitted(NamedTuple):
  """Potentials and how they were found.

  Attributes:
    potentials: those of the least value on held-out samples.
    values: the dual value after each iteration, less that of the start, in
      squared data units, `[T]`.
    held_out: the same on held-out samples, `[T]`.
    converged: whether values on held-out samples stopped to fall.
  """

  potentials: congruent.Potentials
  values: np.ndarray
  held_out: np.ndarray
  converged: bool


def fit(
  key: types.PRNGKey,
  samples: Any,
  weights: Any = None,
  *,
  hidden: int = 256,
  iterations: int = 200,
  held_out: float = 0.1,
  patience: int = 10,
  moments: bool = True,
) -> Fitted:
  """Fits potentials to samples by L-BFGS.

  Args:
    key: consumed, for the directions of the hidden units at the start.
    samples: `[J, N, D]`, in random order.
    weights: `[J]`, sum to 1; None is equal weights.
    hidden: H; 0 leaves quadratic potentials.
    iterations: largest T.
    held_out: fraction of the samples that are held out, the last ones.
    patience: iterations without a smaller value on held-out samples after which
      the fit ends.
    moments: whether the start are the maps between Gaussians of the same
      moments, instead of the identity.

  Raises:
    ValueError: an argument is invalid, or the samples lie in a subspace.
  """
  clouds = _checked(samples, hidden, iterations, held_out, patience)
  w = validation.weights(weights, len(clouds))
  cut = clouds.shape[1] - max(1, round(held_out * clouds.shape[1]))
  means = clouds[:, :cut].mean(1)
  centred = clouds[:, :cut] - means[:, None]
  covariances = np.einsum('jnd,jne->jde', centred, centred) / cut
  found = gaussians.gaussian_barycenter(means, covariances, w)
  variances, axes = np.linalg.eigh(found.covariance)
  scale = float(np.sqrt(variances.mean()))
  own = (clouds - found.mean) @ axes / scale
  turned = axes.T @ covariances @ axes / scale**2
  spread = variances / scale**2
  start = _start(key, hidden, spread, len(clouds))
  if moments:
    maps = _linear_maps(spread, turned) - np.eye(len(spread))
    start = start._replace(
      matrices=jnp.asarray(maps * congruent_dual.units(spread), jnp.float32),
      shifts=jnp.asarray((means - found.mean) @ axes / scale, jnp.float32),
    )
  known = jnp.asarray(spread, jnp.float32), jnp.asarray(w, jnp.float32)
  best, values, held, done = congruent_dual.descend(
    start, *known, own[:, :cut], own[:, cut:], iterations,
    patience,
  )  # fmt: skip
  frame = map(jnp.asarray, (axes, found.mean, scale))
  potentials = congruent.Potentials(congruent_dual.read(*known, best), *frame)
  return Fitted(potentials, values * scale**2, held * scale**2, done)


def _start(
  key: types.PRNGKey, hidden: int, spread: np.ndarray, inputs: int
) -> congruent.Surface:
  """Returns free parameters of the identity."""
  size = len(spread)
  key_v, key_c = jax.random.split(key)
  v = jax.random.normal(key_v, (hidden, size)) / np.sqrt(size)
  return congruent.Surface(
    jnp.zeros((inputs, size, size)),
    jnp.zeros((inputs, size)),
    jnp.zeros((inputs, hidden)),
    v / jnp.sqrt(jnp.asarray(spread, jnp.float32))[None],
    jax.random.normal(key_c, (hidden,)),
  )


def _linear_maps(spread: np.ndarray, covariances: np.ndarray) -> np.ndarray:
  """Returns the optimal maps of N(0, diag(spread)) to N(0, C), `[J, D, D]`."""
  root = np.sqrt(spread)
  middle = root[:, None] * covariances * root[None]
  found = np.stack([gaussians.matrix_root(c) for c in middle])
  return found / (root[:, None] * root[None])


def _checked(
  samples: Any, hidden: int, iterations: int, held_out: float, patience: int
) -> np.ndarray:
  clouds = validation.clouds(samples)
  if not 0.0 < held_out < 1.0:
    raise ValueError(f'held_out: {held_out} is not in (0, 1)')
  for name, count, least in (
    ('hidden', hidden, 0),
    ('iterations', iterations, 1),
    ('patience', patience, 1),
  ):
    if count < least:
      raise ValueError(f'{name}: {count} is below {least}')
  if round((1.0 - held_out) * clouds.shape[1]) <= clouds.shape[2]:
    raise ValueError(
      f'samples: {clouds.shape[1]} for {clouds.shape[2]} dimensions'
    )
  return clouds
