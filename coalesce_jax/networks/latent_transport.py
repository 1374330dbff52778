r"""Moves latents by discriminator optimal transport (DOT).

The critic f that a generator G was trained with is a potential of W1. Its
gradient shows how to move generated samples towards real ones. DOT moves the
latents instead, so that a moved sample is still an output of G:

.. math:: z' = \arg\min_z \; \rho |z - z_0| - f(G(z))

The minimum is approached by some gradient steps from :math:`z_0`. Sec. 3.3 of
Tanaka, https://arxiv.org/abs/1910.06832, where :math:`\rho` is called the
Lipschitz constant of :math:`f \circ G`.

Shapes: N samples, Z latent.
"""

import jax
import jax.numpy as jnp

from coalesce_jax.core import scores as scores_lib
from coalesce_jax.core import types
from coalesce_jax.networks import transport_config

Config = transport_config.Config


def move(
  generator: types.Network,
  critic: types.Network,
  params: types.Params,
  critic_params: types.Params,
  z: jax.Array,
  config: Config,
) -> jax.Array:
  """Moves latents.

  Args:
    generator: G.
    critic: f.
    params: parameters of the generator.
    critic_params: parameters of the critic.
    z: latents to start from, `[N, Z]`.
    config: the settings.

  Returns:
    The moved latents, `[N, Z]`.
  """

  def gain(moved: jax.Array) -> jax.Array:
    values = critic.apply(critic_params, generator.apply(params, moved))
    # The constant keeps the gradient finite at the start, where this is 0.
    away = jnp.sqrt(jnp.sum((moved - z) ** 2, -1) + 1e-8)
    return jnp.sum(scores_lib.of_samples(values)) - config.pull * jnp.sum(away)

  def step(moved: jax.Array, _: None) -> tuple[jax.Array, None]:
    after = moved + config.rate * jax.grad(gain)(moved)
    # A latent without a finite gradient stays where it is.
    finite = jnp.all(jnp.isfinite(after), -1, keepdims=True)
    return jnp.where(finite, after, moved), None

  return jax.lax.scan(step, z, None, length=config.steps)[0]
