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
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.methods import runner
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
  method = runner.Method(
    small.config(batch_size=32, critic_steps=1, learning_rate=5e-3, ema=0.9),
    loop.Schedule(400, 200),
    generator=types.Network(None, to_image),
    critic=types.Network(None, score),
    latent_size=0,
    image_shape=(64,),
    terms=(terms.Term(distance, 'distance'),),
    view=beside,
  )

  def setup(key, hyper, train):
    real = sources.array(
      jnp.concatenate([train['condition'], train['target']], 1)
    )
    critic = {'w': jax.random.normal(key, (128, 8)) / 8, 'b': jnp.zeros(8)}
    return runner.Setup(
      {'w': jnp.zeros((64, 64)), 'b': jnp.zeros(64)},
      (runner.Target(real, real, 1.0, critic),),
      terms={'distance': hyper['distance']},
      prior=sources.array(train),
    )

  params = runner.run(
    KEY, setup, (train,), method, hyper={'distance': 100.0}
  ).params
  made = to_image(params, {'condition': jnp.asarray(x[1500:])})
  copied, mean = x[1500:], y[:1500].mean(0)
  ours, copy, flat = (
    float(np.abs(a - y[1500:]).mean()) for a in (made, copied, mean)
  )
  assert ours < 0.5 * min(copy, flat)
