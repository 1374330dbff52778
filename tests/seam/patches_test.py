"""Games whose critics score patches: the same steps, and a translation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import game
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.networks import registry
from coalesce_jax.networks import translators
from tests import small

KEY = jax.random.key(0)


def test_wasserstein_steps_by_patches_are_those_by_mean_scores():
  def patches(params, x):
    return jnp.tanh(x @ params).reshape(-1, 2, 2)

  def means(params, x):
    return jnp.tanh(x @ params).mean(-1)

  generator = types.Network(None, lambda params, z: jnp.tanh(z @ params))
  critics = jax.random.normal(KEY, (1, 3, 4))
  real = sources.array(1.0 + jax.random.normal(KEY, (20, 3)))
  inputs = game.inputs((real,), prior=sources.normal(3))

  def after(score):
    task = game.make(
      small.config(critic_steps=1),
      generator=generator,
      critic=types.Network(None, score),
    ).task
    state = task.init(KEY, jnp.eye(3), critics, inputs)
    state, metrics = jax.jit(task.step)(state, inputs, KEY)
    return {**trees.flatten({'g': state.generator, 'c': state.critics}),
            **metrics}  # fmt: skip

  found, expected = after(patches), after(means)
  assert found.keys() == expected.keys()
  for name, value in expected.items():
    np.testing.assert_allclose(
      found[name], value, rtol=1e-4, atol=1e-5, err_msg=name
    )


def beside(prior, samples):
  return jnp.concatenate([prior['pair']['condition'], samples], -1)


def translate(network):
  """The network reads its image from a pair."""

  def apply(params, prior):
    return network.apply(
      params, {'condition': prior['pair']['condition'], 'noise': prior['noise']}
    )

  return types.Network(network.init, apply)


def distance(params, batch, weight):
  del params
  target = batch.prior['pair']['target']
  return weight * jnp.mean(jnp.abs(batch.samples - target))


@pytest.mark.slow
def test_a_translator_learns_against_patches():
  side = 12
  condition = small.images(40, shape=(side, side, 1))
  pairs = {'condition': condition, 'target': 255 - condition}
  network = translators.translator(
    'unet', in_channels=1, out_channels=1, width=4, downs=2, dropout=0.5
  )
  critic = registry.critic(
    'patchgan', data_shape=(side, side, 2), width=4, n_layers=1
  )
  task = game.make(
    small.config(
      batch_size=4, critic_steps=1, adversarial='lsgan', learning_rate=2e-3
    ),
    generator=translate(network),
    critic=critic,
    terms=(terms.Term(distance, 'distance'),),
    view=beside,
  ).task
  real = sources.array(jnp.concatenate(list(pairs.values()), -1))
  prior = sources.together(
    {'pair': sources.array(pairs), 'noise': sources.random_keys()}
  )
  inputs = game.inputs(
    (real,), prior=prior, terms={'distance': jnp.float32(10.0)}
  )
  critics = jax.vmap(critic.init)(jax.random.split(KEY, 1))
  state = task.init(KEY, network.init(KEY), critics, inputs)
  step = jax.jit(task.step)
  seen = []
  for _ in range(80):
    state, metrics = step(state, inputs, KEY)
    assert all(bool(jnp.isfinite(v).all()) for v in metrics.values())
    seen.append(float(metrics['term/distance']))
  assert np.mean(seen[-10:]) < 0.8 * np.mean(seen[:10])
