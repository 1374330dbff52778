r"""Samples of a generator, moved by the critic that it came with.

A trained generator falls short of its data, and the critic of its game says in
which direction: its value is the potential along whose rays W1 moves fake
samples to real ones. In latents, which keep a moved sample an image,

.. math:: z' = \arg\min_z \; \rho |z - z_0| - f(G(z)),

by some steps of gradient ascent from :math:`z_0`: discriminator optimal
transport, Tanaka, https://arxiv.org/abs/1910.06832, section 3.3, where
:math:`\rho` is called the Lipschitz constant of :math:`f \circ G`.

Shapes: K generators of one architecture, Z latent, N samples.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax import shares
from coalesce_jax import sources
from coalesce_jax import types


@dataclasses.dataclass(frozen=True)
class Config:
  """How samples are moved.

  Attributes:
    steps: of gradient ascent.
    rate: length of a step is this times the gradient in the latents.
    pull: rho, critic units a unit of the latents; it keeps samples apart.
  """

  steps: int = 10
  rate: float = 0.1
  pull: float = 1.0

  def __post_init__(self):
    if self.steps < 1:
      raise ValueError(f'refine: steps {self.steps} is below 1')
    if not self.rate > 0.0:
      raise ValueError(f'refine: rate {self.rate} is not positive')
    if not self.pull >= 0.0:
      raise ValueError(f'refine: pull {self.pull} is negative')


def move(
  generator: types.Network,
  critic: types.Network,
  params: types.Params,
  critic_params: types.Params,
  z: jax.Array,
  config: Config,
) -> jax.Array:
  """Latents after the transport.

  Args:
    generator: G.
    critic: f.
    params: of the generator.
    critic_params: of its critic.
    z: where to start, `[N, Z]`.
    config: settings.

  Returns:
    `[N, Z]`.
  """

  def gain(moved: jax.Array) -> jax.Array:
    values = critic.apply(critic_params, generator.apply(params, moved))
    # Smooth where nothing has moved yet.
    away = jnp.sqrt(jnp.sum((moved - z) ** 2, -1) + 1e-8)
    return jnp.sum(values) - config.pull * jnp.sum(away)

  def step(moved: jax.Array, _: None) -> tuple[jax.Array, None]:
    after = moved + config.rate * jax.grad(gain)(moved)
    # A sample on which the critic has no slope stays where it is.
    finite = jnp.all(jnp.isfinite(after), -1, keepdims=True)
    return jnp.where(finite, after, moved), None

  return jax.lax.scan(step, z, None, length=config.steps)[0]


def generators(
  generator: types.Network,
  critic: types.Network,
  params: types.Params,
  critic_params: types.Params,
  latent_size: int,
  config: Config,
) -> sources.Source:
  """Refined samples from K frozen generators, as `sources.generators`.

  Args:
    generator: the network of all.
    critic: that of their critics.
    params: stacked along a leading axis K.
    critic_params: likewise.
    latent_size: Z.
    config: settings.
  """
  return sources.Source(
    {'generators': params, 'critics': critic_params},
    _draw(generator, critic, latent_size, config),
    jax.tree.leaves(params)[0].shape[0],
  )


@functools.lru_cache(maxsize=64)
def _draw(generator, critic, latent_size, config):
  def one(params: Any, critic_params: Any, z: jax.Array) -> jax.Array:
    moved = move(generator, critic, params, critic_params, z, config)
    return generator.apply(params, moved)

  def draw(data: Any, key: types.PRNGKey, n: int) -> jax.Array:
    count = jax.tree.leaves(data['generators'])[0].shape[0]
    z = shares.rows(
      lambda n: jax.random.normal(key, (count, n, latent_size)), n, 1
    )
    return jax.vmap(one)(data['generators'], data['critics'], z)

  return draw
