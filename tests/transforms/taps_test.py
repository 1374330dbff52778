"""A task learns which layers it changes."""

import jax
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.transforms import taps

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
PARAMS = {
  name: {
    'kernel': RNG.normal(size=(3, 2)).astype(np.float32),
    'bias': RNG.normal(size=2).astype(np.float32),
  }
  for name in ('a', 'b')
}


def moved():
  """Latent parameters with changes; layer b is closed."""
  latent, frozen = taps.taps().init(KEY, PARAMS)
  for name, score in (('a', 0.1), ('b', -0.4)):
    latent[name]['kernel'] = {
      'change': RNG.normal(size=(3, 2)).astype(np.float32),
      'score': np.float32(score),
    }
  return latent, frozen


def test_only_open_layers_change():
  reparam = taps.taps()
  jax.tree.map(
    np.testing.assert_array_equal,
    reparam.apply(*reparam.init(KEY, PARAMS)), PARAMS,
  )  # fmt: skip
  latent, frozen = moved()
  made = reparam.apply(latent, frozen)
  change = latent['a']['kernel']['change']
  np.testing.assert_array_equal(
    made['a']['kernel'], PARAMS['a']['kernel'] + change
  )
  np.testing.assert_array_equal(made['b']['kernel'], PARAMS['b']['kernel'])
  assert taps.open_layers(latent) == {'a/kernel': True, 'b/kernel': False}
  kept = sum(np.asarray(leaf).size for leaf in taps.stored(latent))
  assert kept == trees.count(latent) - 6


def test_the_gradient_passes_the_threshold_unchanged():
  reparam = taps.taps()
  latent, frozen = moved()
  weights = RNG.normal(size=(3, 2))
  for name, is_open in (('a', 1.0), ('b', 0.0)):
    loss = lambda latent, name=name: (  # noqa: E731
      weights * reparam.apply(latent, frozen)[name]['kernel']
    ).sum()
    found = jax.grad(loss)(latent)[name]['kernel']
    wanted = (weights * latent[name]['kernel']['change']).sum()
    np.testing.assert_allclose(found['score'], wanted, rtol=1e-5)
    np.testing.assert_allclose(found['change'], is_open * weights, rtol=1e-6)


def test_the_penalty_is_the_mean_size_of_scores():
  latent, frozen = moved()
  found = taps.taps(weight=3.0).penalty(latent, frozen)
  np.testing.assert_allclose(found, 3.0 * (0.1 + 0.4) / 2.0, rtol=1e-6)
  with pytest.raises(ValueError, match='negative'):
    taps.taps(weight=-1.0)


def test_seeds_have_gates_of_their_own():
  latent, _ = moved()
  other = jax.tree.map(lambda x: x + 1.0, latent)
  both = jax.tree.map(lambda a, b: np.stack([a, b]), latent, other)
  kept = sum(np.asarray(leaf).size for leaf in taps.stored(both))
  assert kept == 2 * trees.count(latent) - 6
