"""MineGAN: miners and scores learn, the mined generators never."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import minegan
from tests import small

KEY = jax.random.key(0)
SPEC = small.VECTORS


def mined(count=3):
  network = minegan.network(SPEC.build(), SPEC.latent_size, count, hidden=8)
  return network, network.init(KEY)


def test_new_miners_pass_latents_on():
  network, params = mined()
  z = jax.random.normal(KEY, (64, SPEC.latent_size + 3))
  x = network.apply(params, z)
  each = jax.vmap(SPEC.build().apply, (0, None))(
    params['nodes'], z[:, : SPEC.latent_size]
  )
  nearest = jnp.min(jnp.abs(each - x[None]).sum(-1), 0)
  np.testing.assert_allclose(nearest, 0.0, atol=1e-6)


def test_generators_are_drawn_with_the_probabilities_of_the_scores():
  _, params = mined()
  probabilities = np.array([0.7, 0.2, 0.1])
  params['scores'] = jnp.log(jnp.asarray(probabilities))
  params['nodes'] = jnp.arange(3.0)
  n = 20000
  z = jax.random.normal(KEY, (n, SPEC.latent_size + 3))
  # Every node makes its own number.
  numbers = SPEC.build()._replace(
    apply=lambda params, z: jnp.broadcast_to(params, (len(z), 1))
  )
  network = minegan.network(numbers, SPEC.latent_size, 3, hidden=8)
  found = np.rint(np.asarray(network.apply(params, z)[:, 0])).astype(int)
  counts = np.bincount(found, minlength=3)
  # Five standard errors.
  error = 5.0 * np.sqrt(probabilities * (1.0 - probabilities) / n)
  assert np.all(np.abs(counts / n - probabilities) < error)


@pytest.mark.slow
def test_mining_moves_towards_the_node_that_has_the_samples():
  nodes = [small.generator(k, SPEC) for k in range(2)]
  nodes = [
    n._replace(params=jax.tree.map(jnp.zeros_like, n.params)) for n in nodes
  ]
  # Constant nodes at two points; local samples are at the second.
  for k, node in enumerate(nodes):
    bias = [p for p in trees.flatten(node.params) if p.endswith('bias')][-1]
    flat = trees.flatten(node.params)
    flat[bias] = jnp.full_like(flat[bias], 4.0 * k)
    nodes[k] = node._replace(params=trees.unflatten(flat))
  local = 4.0 + 0.1 * jax.random.normal(KEY, (20, 2))
  before = jax.tree.map(np.asarray, nodes[0].params)
  made, history = minegan.mine(
    KEY,
    nodes,
    local,
    config=adaptation.Config(
      game=small.config(batch_size=32, learning_rate=0.02, ema=0.5),
      schedule=small.schedule(60, 20),
      warmup=20,
    ),
  )
  assert history['step'][-1] == 60
  scores = made.params['scores']
  assert float(scores[1] - scores[0]) > 0.2
  after = trees.member(made.params['nodes'], 0)
  for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
    np.testing.assert_array_equal(a, b)
  assert made.sample(KEY, 5).shape == (5, 2)


@pytest.mark.slow
def test_members_mine_on_their_own():
  nodes = [small.generator(k, SPEC) for k in range(2)]
  keys = jax.random.split(KEY, 2)
  local = jax.random.normal(KEY, (2, 12, 2))
  config = adaptation.Config(
    game=small.config(),
    schedule=small.schedule(4, 2),
    rate=np.array([1.0, 0.3]),
  )
  twice = [
    n._replace(
      params=trees.stack([n.params] * 2), critic=trees.stack([n.critic] * 2)
    )
    for n in nodes
  ]
  together, _ = minegan.mine(keys, twice, local, config=config)
  for s, rate in enumerate((1.0, 0.3)):
    alone, _ = minegan.mine(
      keys[s], nodes, local[s],
      config=adaptation.Config(
        game=config.game, schedule=config.schedule, rate=rate
      ),
    )  # fmt: skip
    for a, b in zip(
      jax.tree.leaves(trees.member(together.params, s)),
      jax.tree.leaves(alone.params),
      strict=True,
    ):
      np.testing.assert_allclose(a, b, atol=1e-5)
