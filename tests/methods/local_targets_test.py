"""Targets of local samples: weights, critics, mixing probabilities."""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.methods import local_targets

KEY = jax.random.key(0)
# Generators that add a number to the latents.
SHIFT = types.Network(None, lambda params, z: z + params[None])


def local(critics):
  return local_targets.Local(
    sources.array(jnp.zeros((4, 1))),
    sources.array(jnp.ones((2, 1))),
    critics,
    'extra',
    KEY,
  )


def test_critics_of_local_samples_share_what_the_anchor_leaves():
  found = local_targets.alone(local(['a', 'b']), {'anchor': 0.4}, 'not read')
  assert [target.critic for target in found] == ['a', 'b']
  np.testing.assert_allclose([t.weight for t in found], [0.3, 0.3], rtol=1e-6)
  for target in found:
    for source, level in ((target.source, 0.0), (target.held_out, 1.0)):
      drawn = sources.draw((source,), KEY, 3)
      np.testing.assert_array_equal(drawn, np.full((1, 3, 1), level))


def test_a_pool_mixes_the_generators_with_their_probability():
  pooled = local_targets.pooled(SHIFT, 1)
  params = (jnp.array([100.0]), jnp.array([200.0]))
  hyper = {'anchor': jnp.float32(0.0), 'share': jnp.float32(0.6)}
  (target,) = pooled(local(['a']), hyper, params)
  assert target.critic == 'a' and float(target.weight) == 1.0
  drawn = np.asarray(sources.draw((target.source,), KEY, 4000)).ravel()
  # Local samples are zeros; generators add a latent of unit deviation.
  found = np.bincount(np.round(drawn / 100.0).astype(int), minlength=3) / 4000
  np.testing.assert_allclose(found, [0.4, 0.3, 0.3], atol=0.03)
  held = sources.draw((target.held_out,), KEY, 5)
  np.testing.assert_array_equal(held, np.ones((1, 5, 1)))
