"""Parameters that mattered are held near where they were."""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.transforms import consolidation

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def draw():
  return {'a': RNG.normal(size=(3, 2)), 'b': RNG.normal(size=2)}


def test_the_penalty_weighs_squared_distances_by_importance():
  anchor, importance, now = draw(), draw(), draw()
  frozen = consolidation.Memory(anchor, importance, 3.0)
  found = consolidation.penalty(now, frozen)
  wanted = 1.5 * sum(
    (importance[n] * (now[n] - anchor[n]) ** 2).sum() for n in ('a', 'b')
  )
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_without_importance_it_is_the_squared_distance():
  start, now = draw(), draw()
  reparam = consolidation.consolidation(2.0)
  latent, frozen = reparam.init(KEY, start)
  assert float(reparam.penalty(latent, frozen)) == 0.0
  assert reparam.apply(now, frozen) is now
  wanted = sum(((now[n] - start[n]) ** 2).sum() for n in ('a', 'b'))
  np.testing.assert_allclose(reparam.penalty(now, frozen), wanted, rtol=1e-5)


def test_the_information_of_a_linear_score_is_the_mean_square_of_its_inputs():
  x = RNG.normal(size=(37, 3)).astype(np.float32)
  params = {'w': jnp.ones(3), 'b': jnp.zeros(())}
  score = lambda p, x: x @ p['w'] + 2.0 * p['b']  # noqa: E731
  found = consolidation.fisher(score, params, x, at_once=8)
  np.testing.assert_allclose(found['w'], (x**2).mean(0), rtol=1e-5)
  np.testing.assert_allclose(found['b'], 4.0, rtol=1e-6)


def test_each_leaf_is_divided_by_its_mean():
  given = {'a': np.array([1.0, 3.0]), 'b': np.zeros(2)}
  found = consolidation.normalised(given)
  np.testing.assert_allclose(found['a'], [0.5, 1.5])
  np.testing.assert_array_equal(found['b'], [0.0, 0.0])
