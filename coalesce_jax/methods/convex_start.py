r"""Starts generators from the closed form of a convex WGAN.

.. math:: \min_\theta E_z |G_\theta(z) - m - z W|^2

W is the linear generator of `gan.convex`, for samples less their mean m. The
generator is fitted to its images by least squares, without a critic: a step
costs a small part of one of the game. With beta = 0, W is the PCA sampler,
which is the control.

The idea of a start by the convex solution is that of Sahiner et al.,
https://arxiv.org/abs/2107.05680; there the linear generator itself is the
model.

Shapes: P generators, N samples, Z latent, D values of a sample, B batch.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.gan import convex
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.ops import precision
from coalesce_jax.training import loop
from coalesce_jax.training import optimizers
from coalesce_jax.training import scan
from coalesce_jax.training import task as task_lib

# Samples that give the linear generator.
_SAMPLES = 1024
_BATCH, _RATE = 64, 2e-3
# Beta of the start 'convex', relative to the largest second moment.
SHARES = {'convex': 0.02, 'pca': 0.0}


class Linear(NamedTuple):
  """A linear generator.

  Attributes:
    weights: W, `[Z, D]`.
    mean: m, `[D]`.
  """

  weights: jax.Array
  mean: jax.Array


class State(NamedTuple):
  """A generator while it is fitted.

  Attributes:
    step: steps done, `[]` int32.
    params: its parameters.
    moments: state of the optimizer.
  """

  step: jax.Array
  params: types.Params
  moments: Any


def fit(
  key: types.PRNGKey,
  spec: generator_lib.Spec,
  samples: jax.Array,
  counts: jax.Array,
  *,
  share: float,
  schedule: loop.Schedule,
  hooks: loop.Hooks | None = None,
) -> types.Params:
  """Fits new generators to the linear generators of their samples.

  Args:
    key: `[P]` keys; consumed.
    spec: architecture of the generators.
    samples: `[P, N, ...]`, levels or floats.
    counts: numbers of samples that count, the first ones, `[P]`.
    share: beta of `gan.convex.solve`, relative to the largest second moment of
      the samples less their mean.
    schedule: steps of Adam.
    hooks: effects of the loop.

  Returns:
    Parameters, leaves `[P, ...]`.
  """
  # Images end at -1 and 1, vectors do not.
  fitted = task(
    spec.build(), spec.latent_size, len(spec.image_shape) == 3, schedule.steps
  )

  def begin(key, samples, count):
    key_init, key_linear, key_run = jax.random.split(key, 3)
    found = linear(key_linear, samples, count, spec.latent_size, share)
    return fitted.init(key_init), found, key_run

  state, inputs, keys = scan.once(jax.vmap(begin))(key, samples, counts)
  return loop.drive(fitted, state, inputs, keys, schedule, hooks).model


def linear(
  key: types.PRNGKey,
  samples: jax.Array,
  count: jax.Array | int,
  latent_size: int,
  share: float,
) -> Linear:
  """Computes the linear generator of samples.

  Args:
    key: consumed.
    samples: `[N, ...]`, levels or floats.
    count: number of samples that count, the first ones.
    latent_size: Z.
    share: see `fit`.
  """
  key_rows, key_latents = jax.random.split(key)
  rows = jax.random.randint(key_rows, (_SAMPLES,), 0, count)
  drawn = pixels.decode(samples[rows]).astype(jnp.float32)
  flat = drawn.reshape(_SAMPLES, -1)
  mean = flat.mean(0)
  latents = jax.random.normal(key_latents, (_SAMPLES, latent_size))
  w = convex.weights(latents, flat - mean[None], share, relative=True)
  return Linear(w, mean)


@functools.lru_cache(maxsize=16)
def task(
  network: types.Network, latent_size: int, clipped: bool, steps: int
) -> task_lib.Task:
  """Returns the fit of a generator, whose inputs are a `Linear`.

  Args:
    network: the generator's.
    latent_size: Z.
    clipped: whether samples are in [-1, 1].
    steps: steps over which the learning rate falls to 0.
  """
  adam = optimizers.adam(_RATE, 0.9, 0.99, steps)

  def init(key: types.PRNGKey) -> State:
    params = network.init(key)
    return State(jnp.int32(0), params, adam.init(params))

  def step(
    state: State, inputs: Linear, key: types.PRNGKey
  ) -> tuple[State, types.Metrics]:
    key = jax.random.fold_in(key, state.step)
    z = jax.random.normal(key, (_BATCH, latent_size))
    target = inputs.mean[None] + precision.matmul(z, inputs.weights)
    target = target.clip(-1.0, 1.0) if clipped else target

    def loss(params: types.Params) -> jax.Array:
      made = network.apply(params, z)
      return jnp.mean((made - target.reshape(made.shape)) ** 2)

    value, gradients = jax.value_and_grad(loss)(state.params)
    updates, moments = adam.update(gradients, state.moments)
    params = optax.apply_updates(state.params, updates)
    return State(state.step + 1, params, moments), {'squared_error': value}

  return task_lib.Task(init, step, lambda state: state.params)
