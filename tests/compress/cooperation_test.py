"""Critics that close channels to keep the gap of the large networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.compress import cooperation
from coalesce_jax.compress import recovery
from coalesce_jax.core import types
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import problems
from coalesce_jax.models import generator as generator_lib
from tests import small

KEY = jax.random.key(0)
OPTIONS = generator_lib.freeze({'hidden': ()})
CRITIC = generator_lib.freeze({'hidden': (6, 5)})
SPEC = generator_lib.Spec('mlp', 3, (2,), OPTIONS, 'mlp', CRITIC)
RNG = np.random.default_rng(0)
DATA = (2.0 + RNG.normal(size=(200, 2))).astype(np.float32)


def problem(steps=8, rate=0.05):
  config = pretraining.Config(
    small.config(critic_steps=1, learning_rate=rate, decay_steps=0),
    small.schedule(steps, 1, fast_compile=True),
  )
  return pretraining.problem(DATA, SPEC, config)


def by_hand(base, opened, x):
  """Scores of the perceptron without its closed units."""
  for k, layer in enumerate(('dense_0', 'dense_1')):
    x = x @ base[layer]['kernel'] + base[layer]['bias']
    x = np.maximum(x, 0.0)
    x = x * opened[layer] if opened else x
    assert x.shape[-1] == (6, 5)[k]
  return (x @ base['head']['kernel'])[:, 0]


def test_weights_and_retentions_have_scores_of_their_own():
  network = SPEC.build_critic()
  base = jax.tree.map(np.asarray, network.init(KEY))
  base['dense_1']['bias'] = np.ones(5, np.float32)
  retained = {
    'dense_0': jnp.array([1.0, 0.4, 0.5, 0.2, 0.9, 0.6]),
    # The largest stays open.
    'dense_1': jnp.array([0.1, 0.3, 0.2, 0.0, 0.1]),
  }
  hard = {
    'dense_0': np.array([1.0, 0.0, 1.0, 0.0, 1.0, 1.0]),
    'dense_1': np.array([0.0, 1.0, 0.0, 0.0, 0.0]),
  }
  x = RNG.normal(size=(4, 2)).astype(np.float32)
  params = {'base': base, 'open': retained, 'gap': jnp.float32(7.0)}
  gated = cooperation.gated(network)
  wanted = by_hand(base, hard, x)
  # A factor of 2 closes what is below 0.75.
  nearer = jax.tree.map(lambda r: 0.5 + r / 2.0, retained)
  twice = cooperation.gated(network, 2.0)
  np.testing.assert_allclose(
    twice.apply({**params, 'open': nearer}, x)[:, 0], wanted, rtol=1e-4,
    atol=1e-6,
  )  # fmt: skip
  found = np.asarray(gated.apply(params, x))
  np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(found[:, 1], found[:, 0])
  np.testing.assert_allclose(found[:, 2], found[:, 0] + 7.0, rtol=1e-5)
  np.testing.assert_allclose(
    network.apply(cooperation.plain(network, params), x), wanted, rtol=1e-4,
    atol=1e-6,
  )  # fmt: skip
  scores = lambda p: jnp.sum(gated.apply(p, x), 0)
  rows = jax.jit(jax.jacrev(scores))(params)
  slopes = [jax.tree.map(lambda leaf, k=k: leaf[k], rows) for k in range(3)]
  still = jax.tree.map(np.zeros_like, params)
  assert np.any(slopes[0]['base']['dense_0']['kernel'])
  jax.tree.map(np.testing.assert_array_equal, slopes[0]['open'], still['open'])
  jax.tree.map(np.testing.assert_array_equal, slopes[1]['base'], still['base'])
  jax.tree.map(np.testing.assert_array_equal, slopes[2], still)
  for unit in range(6):
    more = {**hard, 'dense_0': hard['dense_0'] + 1e-3 * (np.arange(6) == unit)}
    difference = (by_hand(base, more, x) - wanted).sum() / 1e-3
    np.testing.assert_allclose(
      slopes[1]['open']['dense_0'][unit], difference, rtol=2e-2, atol=1e-3
    )


@pytest.mark.slow
def test_the_gap_of_the_large_networks_is_kept():
  generator, critic = SPEC.build(), SPEC.build_critic()
  taught = jax.tree.map(np.asarray, generator.init(KEY))
  before = jax.tree.map(np.asarray, critic.init(jax.random.key(1)))
  given = problem()
  trained = {}
  for weight in (0.0, 100.0):
    made = cooperation.cooperative(given, given, taught, [before], weight)
    (after,) = problems.train(KEY, made).critics
    trained[weight] = after
  z = np.random.default_rng(1).normal(size=(20_000, 3)).astype(np.float32)
  fakes = np.asarray(generator.apply(taught, z))
  wanted = by_hand(before, {}, DATA).mean() - by_hand(before, {}, fakes).mean()
  np.testing.assert_allclose(trained[0.0]['gap'], wanted, atol=0.15)
  # Without weight no channel closes.
  assert all(np.all(x == 1.0) for x in trained[0.0]['open'].values())
  far = cooperation.reach(given)
  # 8 steps of a rate of 0.05 get to 0.4.
  assert far == pytest.approx(6.0 / 0.4)
  assert any(
    np.any(1.0 + far * (x - 1.0) < 0.5) for x in trained[100.0]['open'].values()
  )
  closed = cooperation.plain(critic, trained[100.0], far)
  assert any(
    np.any(layer['kernel'] != trained[100.0]['base'][name]['kernel'])
    for name, layer in closed.items()
  )
  # Networks that stand still have the distance of the large ones.
  still = recovery.continued(problem(steps=20, rate=1e-9), taught, [before])
  made = cooperation.cooperative(still, given, taught, [before])
  found = problems.train(KEY, made).history['w1'].mean()
  np.testing.assert_allclose(found, wanted, atol=0.25)


def test_a_critic_without_channels_is_refused():
  given = problem()
  flat = types.Network(lambda key: {'a': jnp.ones(2)}, lambda p, x: x @ p['a'])
  bare = given._replace(method=given.method._replace(critic=flat))
  with pytest.raises(ValueError, match='has no channels to mask'):
    cooperation.cooperative(bare, given, {}, [{}])
