r"""Transport in latents, by the critic that a generator came with.

A trained generator falls short of its data, and the critic of its game says in
which direction: its value is the potential along whose rays W1 moves fake
samples to real ones. In latents, which keep a moved sample an image,

.. math:: z' = \arg\min_z \; \rho |z - z_0| - f(G(z)),

by some steps of gradient ascent from :math:`z_0`: discriminator optimal
transport, Tanaka, https://arxiv.org/abs/1910.06832, section 3.3, where
:math:`\rho` is called the Lipschitz constant of :math:`f \circ G`.

Shapes: N samples, Z latent.
"""

import dataclasses

import jax
import jax.numpy as jnp

from coalesce_jax.core import types


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
