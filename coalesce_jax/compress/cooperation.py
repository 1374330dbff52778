r"""Trains a smaller generator against a critic that closes channels (GCC).

A critic that is much stronger than a small generator teaches it little. Here
each channel of the critic has a retention :math:`\alpha`. It is open where
:math:`\alpha \ge 1/2`, and retentions descend

.. math:: |\, g(f_\alpha, G) - g(f^T, G^T) \,|

where g is the mean score of real samples less that of fakes, and T marks the
large networks. Weights descend the adversarial loss alone. Li et al.,
"Revisiting discriminator in GAN compression: a generator-discriminator
cooperative compression scheme", https://arxiv.org/abs/2110.14439.

Reimplemented from the paper's equations, with three changes. The paper compares
the losses of generator and critic on fakes, which have no zero in a Wasserstein
GAN. Its large networks go on learning beside the small ones. Here retentions
learn the faster the shorter the training is, see `reach`: a step of Adam is a
learning rate, and few of them would close no channel. Where samples of the
large generator are themselves a target, the gap to keep is 0.

Shapes: K critics, B batch, C channels of a map.
"""

from collections.abc import Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.compress import critics as critics_lib
from coalesce_jax.compress import recovery
from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.gan.adversarial import base as adversarial_lib
from coalesce_jax.gan.adversarial import registry as adversarials
from coalesce_jax.methods import problems

# Samples on which the gap of the large networks is estimated.
SAMPLES = 512
# How far a retention gets if all steps of Adam go one way.
_WAY = 6.0


def cooperative(
  problem: problems.Problem,
  teacher: problems.Problem,
  params: types.Params,
  critics: Sequence[types.Params],
  weight: float = 1.0,
) -> problems.Problem:
  """Returns the problem whose critics close channels.

  The parameters of its critics are those of `gated`.

  Args:
    problem: the problem of the smaller network.
    teacher: the problem of the larger one.
    params: parameters of the larger generator.
    critics: parameters of its K critics.
    weight: multiplies the difference of gaps.

  Raises:
    ValueError: the critic has no channels to close, see `critics.sizes`.
  """
  method = problem.method
  sizes = critics_lib.sizes(method.critic)
  far = reach(problem)

  def setup(key, hyper, given, *args):
    taught, before = given
    key, key_gap = jax.random.split(key)
    ready = problem.setup(key, hyper, *args)
    gaps = _gaps(key_gap, teacher.method, ready, taught, before)
    targets = tuple(
      target._replace(
        critic={
          'base': target.critic,
          'open': {name: jnp.ones(count) for name, count in sizes.items()},
          'gap': gap,
        }
      )
      for target, gap in zip(ready.targets, gaps, strict=True)
    )
    return ready._replace(targets=targets)

  own = method.adversarial or adversarials.of(method.config)
  return recovery.with_data(problem, setup, (params, tuple(critics)))._replace(
    method=method._replace(
      critic=gated(method.critic, far), adversarial=_cooperative(own, weight)
    )
  )


def reach(problem: problems.Problem) -> float:
  """Returns the factor of retentions, so that the training can close channels.

  Args:
    problem: the problem of the smaller network.
  """
  config, steps = problem.method.config, problem.method.schedule.steps
  rate = config.critic_learning_rate or config.learning_rate
  return max(1.0, _WAY / (rate * config.critic_steps * steps))


@functools.lru_cache(maxsize=16)
def gated(network: types.Network, far: float = 1.0) -> types.Network:
  """Returns the critic with channels that close, of three scores a sample.

  Its parameters are `base`, those of the critic; `open`, from which retentions
  `[C]` follow, by name of a layer; and `gap`, a number. The first score has
  gradients of `base` alone, the second one of `open` alone, and both are the
  score of the critic without its closed channels. The third one is `gap` more
  than that, without gradients. So differences of mean scores are those of the
  critic.

  Args:
    network: see `critics.sizes`.
    far: factor of retentions, see `reach`. 1 stays 1.
  """
  apply_masked = critics_lib.masked(network)

  def apply(params: types.Params, inputs: Any) -> jax.Array:
    opened = _opened(params, far)
    still = jax.lax.stop_gradient
    scores = apply_masked(params['base'], still(opened), inputs)
    same = apply_masked(still(params['base']), opened, still(inputs))
    return jnp.stack([scores, same, still(scores + params['gap'])], -1)

  return types.Network(network.init, apply)


def plain(
  network: types.Network, params: types.Params, far: float = 1.0
) -> types.Params:
  """Returns parameters of the critic itself, whose closed channels stay so.

  Args:
    network: see `gated`.
    params: those of the gated critic.
    far: see `gated`.
  """
  opened = _opened(params, far)
  return critics_lib.closed(network, params['base'], opened)


def _opened(params: types.Params, far: float) -> types.Params:
  return jax.tree.map(lambda x: _binary(1.0 + far * (x - 1.0)), params['open'])


def _binary(retention: jax.Array) -> jax.Array:
  """Returns 1 or 0, the largest always 1; the gradient is that of identity."""
  largest = jnp.arange(retention.shape[0]) == jnp.argmax(retention)
  hard = ((retention >= 0.5) | largest).astype(retention.dtype)
  return retention + jax.lax.stop_gradient(hard - retention)


@functools.lru_cache(maxsize=16)
def _cooperative(
  own: adversarial_lib.Adversarial, weight: float
) -> adversarial_lib.Adversarial:
  """Returns the losses of a `gated` critic."""

  def critic_loss(
    critic: adversarial_lib.Critic,
    real: jax.Array,
    fake: jax.Array,
    key: types.PRNGKey,
  ) -> tuple[jax.Array, dict[str, Any]]:
    loss, aux = own.critic_loss(lambda x: critic(x)[..., 0], real, fake, key)
    reals, fakes = critic(real), critic(fake)
    gap = jnp.mean(reals[..., 1]) - jnp.mean(fakes[..., 1])
    wanted = jnp.mean(reals[..., 2] - reals[..., 0])
    return loss + weight * jnp.abs(gap - jax.lax.stop_gradient(wanted)), aux

  return own._replace(
    critic_loss=critic_loss,
    generator_loss=lambda scores: own.generator_loss(scores[..., 0]),
  )


def _gaps(
  key: types.PRNGKey, method: Any, ready: Any, params: Any, critics: Any
) -> list[jax.Array]:
  """Returns the gap of each critic of the large networks, K of `[]`."""
  key_real, key_prior = jax.random.split(key)
  given = tuple(target.source for target in ready.targets)
  real = sources.draw(given, key_real, SAMPLES)
  prior = ready.prior
  if prior is None:
    prior = sources.normal(method.latent_size)
  drawn = sources.draw_one(prior, key_prior, SAMPLES)
  fake = method.generator.apply(params, drawn)
  if method.view is not None:
    fake = method.view(drawn, fake)
  own = fake.ndim == real.ndim
  return [
    jnp.mean(method.critic.apply(critic, real[k]))
    - jnp.mean(method.critic.apply(critic, fake[k] if own else fake))
    for k, critic in enumerate(critics)
  ]
