r"""Starts a generator from the closed form of a convex WGAN.

.. math:: \min_\theta E_z |G_\theta(z) - m - z W|^2

W is the linear generator of `gan.convex`, for samples less their mean m. The
generator is fitted to its images by least squares, without a critic: a step
costs a small part of one of the game. With beta = 0, W is the PCA sampler,
which is the control.

The idea of a start by the convex solution is that of Sahiner et al.,
https://arxiv.org/abs/2107.05680; there the linear generator itself is the
model.

Shapes: N samples, M of them that are drawn, Z latent, B batch.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.gan import convex
from coalesce_jax.ops import precision
from coalesce_jax.training import optimizers

# Samples that give the linear generator.
_SAMPLES = 1024
_BATCH, _RATE = 64, 2e-3
# Beta of the start 'convex', relative to the largest second moment.
SHARES = {'convex': 0.02, 'pca': 0.0}


def fitted(
  key: types.PRNGKey,
  network: types.Network,
  params: types.Params,
  latent_size: int,
  samples: jax.Array,
  count: jax.Array | int,
  *,
  share: float,
  steps: int,
) -> types.Params:
  """Fits a generator to the linear generator of its samples.

  It is a pure function that vmaps over keys, parameters and samples.

  Args:
    key: consumed.
    network: the generator's.
    params: its parameters at the start.
    latent_size: Z.
    samples: `[N, ...]`, levels or floats.
    count: number of samples that count, the first ones.
    share: beta of `gan.convex.solve`, relative to the largest second moment of
      the samples less their mean.
    steps: steps of Adam.

  Returns:
    Parameters of the same structure.
  """
  key_rows, key_latents, key_steps = jax.random.split(key, 3)
  rows = jax.random.randint(key_rows, (_SAMPLES,), 0, count)
  drawn = pixels.decode(samples[rows]).astype(jnp.float32)
  shape = drawn.shape[1:]
  flat = drawn.reshape(_SAMPLES, -1)
  mean = flat.mean(0)
  latents = jax.random.normal(key_latents, (_SAMPLES, latent_size))
  w = convex.weights(latents, flat - mean[None], share, relative=True)
  adam = optimizers.adam(_RATE, 0.9, 0.99, steps)

  def target(z: jax.Array) -> jax.Array:
    made = mean[None] + precision.matmul(z, w)
    # Images end at -1 and 1, vectors do not.
    made = made.clip(-1.0, 1.0) if len(shape) == 3 else made
    return made.reshape(-1, *shape)

  def step(carry: Any, key: types.PRNGKey) -> tuple[Any, None]:
    params, moments = carry
    z = jax.random.normal(key, (_BATCH, latent_size))

    def loss(params: types.Params) -> jax.Array:
      return jnp.mean((network.apply(params, z) - target(z)) ** 2)

    updates, moments = adam.update(jax.grad(loss)(params), moments)
    return (optax.apply_updates(params, updates), moments), None

  start = params, adam.init(params)
  return jax.lax.scan(step, start, jax.random.split(key_steps, steps))[0][0]
