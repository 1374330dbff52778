"""A proof of the seam: a conditional game that mirrors digits.

The prior draws pairs of images, the critic sees condition and image side by
side, and a term pulls to the target: Isola et al.,
https://arxiv.org/abs/1611.07004, Eq. 4.
"""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import datasets

from coalesce_jax.core import types
from coalesce_jax.gan import game
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.training import loop
from tests import small

KEY = jax.random.key(0)


def to_image(params, prior):
  return jnp.tanh(prior['condition'] @ params['w'] + params['b'][None])


def beside(prior, samples):
  return jnp.concatenate([prior['condition'], samples], -1)


def score(params, pairs):
  return jnp.tanh(pairs @ params['w'] + params['b'][None]).sum(-1)


def distance(params, batch, weight):
  del params
  return weight * jnp.mean(jnp.abs(batch.samples - batch.prior['target']))


def test_a_conditional_generator_learns_to_mirror_digits():
  images = datasets.load_digits().images / 8.0 - 1.0  # [N, 8, 8]
  mirrored = images[:, :, ::-1]
  x, y = (a.reshape(-1, 64).astype(np.float32) for a in (images, mirrored))
  train = {'condition': jnp.asarray(x[:1500]), 'target': jnp.asarray(y[:1500])}
  task = game.make(
    small.config(batch_size=32, critic_steps=1, learning_rate=5e-3, ema=0.9),
    generator=types.Network(None, to_image),
    critic=types.Network(None, score),
    terms=(terms.Term(distance, 'distance'),),
    view=beside,
  ).task
  real = sources.array(
    jnp.concatenate([train['condition'], train['target']], 1)
  )
  inputs = game.inputs(
    (real,), prior=sources.array(train), terms={'distance': jnp.float32(100.0)}
  )
  start = {'w': jnp.zeros((64, 64)), 'b': jnp.zeros(64)}
  critics = {
    'w': jax.random.normal(KEY, (1, 128, 8)) / 8,
    'b': jnp.zeros((1, 8)),
  }
  state = task.init(KEY, start, critics, inputs)
  params = loop.drive(task, state, inputs, KEY, loop.Schedule(400, 200)).model
  made = to_image(params, {'condition': jnp.asarray(x[1500:])})
  copied, mean = x[1500:], y[:1500].mean(0)
  ours, copy, flat = (
    float(np.abs(a - y[1500:]).mean()) for a in (made, copied, mean)
  )
  assert ours < 0.5 * min(copy, flat)
