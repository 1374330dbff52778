"""Pretraining: each node learns from its own data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.gan import sources
from coalesce_jax.methods import pretraining
from tests import small

KEY = jax.random.key(0)


def test_pretraining_gives_each_node_its_own_data():
  data = [
    m + 0.1 * np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    for m, n in ((3.0, 50), (-3.0, 90))
  ]
  config = pretraining.Config(
    game=small.config(learning_rate=0.02, critic_steps=3, ema=0.9),
    schedule=small.schedule(200, 100),
  )
  nodes, history = cj.pretrain(KEY, data, small.VECTORS, config=config)
  means = [float(np.mean(n.sample(KEY, 500))) for n in nodes]
  assert means[0] > 1.5 and means[1] < -1.5
  assert history['w1'].shape == (2, 2, 1)
  assert nodes[0].critic is not None


def test_padding_rows_of_smaller_nodes_are_never_drawn():
  data = [np.ones((10, 2), np.float32), np.ones((90, 2), np.float32)]
  train, held, sizes = pretraining.padded(data, 0.1)
  assert train.shape == (2, 81, 2) and sizes.tolist() == [[9, 1], [81, 9]]
  source = sources.array(train[0], sizes[0, 0])
  drawn = sources.draw((source,), KEY, 200)
  assert bool(jnp.all(drawn == 1.0))
  assert held.shape == (2, 9, 2)


def test_data_that_no_node_can_learn_from_are_refused():
  with pytest.raises(ValueError, match='no data sets'):
    cj.pretrain(KEY, [], small.IMAGES)
  with pytest.raises(ValueError, match='node 0'):
    cj.pretrain(KEY, [np.zeros((9, 3))], small.VECTORS)
