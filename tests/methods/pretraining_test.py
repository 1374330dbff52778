"""Pretraining: each node learns from its own data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.data import images
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
  vectors = np.ones((9, 2), np.float32)
  with pytest.raises(ValueError, match='those of one node; pass a list'):
    cj.pretrain(KEY, vectors, small.VECTORS)
  for given in ('DIR', {'a': vectors}, images.Images(vectors, None), None):
    with pytest.raises(ValueError, match='given; pass a list of arrays'):
      cj.pretrain(KEY, given, small.VECTORS)
  with pytest.raises(ValueError, match='node 1: 2 NaN'):
    cj.pretrain(
      KEY, [vectors, np.where(np.eye(9, 2) > 0, np.nan, 0)[:1].repeat(2, 0)],
      small.VECTORS,
    )  # fmt: skip
  with pytest.raises(ValueError, match='node 1: 1 samples, at least 2'):
    pretraining.check([vectors, vectors[:1]], small.VECTORS)
  levels = np.asarray(small.images(9))
  with pytest.raises(ValueError, match=r'node 1: values.*\* 2 - 1'):
    cj.pretrain(KEY, [levels, levels / 255.0], small.IMAGES)
  with pytest.raises(ValueError, match='node 0: .*channels are first'):
    cj.pretrain(KEY, [np.moveaxis(levels, -1, 1)], small.IMAGES)


def test_levels_of_one_node_and_floats_of_another_become_floats():
  levels = np.array([[0, 255]] * 9, np.uint8)
  train, held, _ = pretraining.padded([levels, np.full((9, 2), 0.25)], 0.1)
  assert train.dtype == held.dtype == jnp.float32
  np.testing.assert_allclose(train[0, 0], [-1.0, 1.0])
  np.testing.assert_allclose(train[1], 0.25)
  assert pretraining.padded([levels, levels], 0.1)[0].dtype == jnp.uint8
