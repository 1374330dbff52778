"""Starts of pretraining: the closed form, its control, and padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.methods import convex_start
from coalesce_jax.methods import pretraining
from tests import small

KEY = jax.random.key(0)
# Variances along the axes of a turned ellipse, and its middle.
VARIANCES, MIDDLE = np.array([4.0, 1.0]), np.array([1.0, -2.0])
TURN = np.array([[0.8, 0.6], [-0.6, 0.8]])


def data(count=2000):
  normal = np.random.default_rng(0).normal(size=(count, 2))
  x = (normal * VARIANCES**0.5) @ TURN + MIDDLE
  return jnp.asarray(x, jnp.float32)


def start(share, samples, count):
  network = small.VECTORS.build()
  params = convex_start.fitted(
    KEY, network, network.init(jax.random.key(1)), 2, samples, count,
    share=share, steps=600,
  )  # fmt: skip
  return np.asarray(
    network.apply(params, jax.random.normal(jax.random.key(2), (4000, 2)))
  )


@pytest.mark.parametrize(
  'share', [pytest.param(0.0, marks=pytest.mark.slow), 0.5]
)
def test_variances_are_those_of_the_data_less_beta(share):
  # Rows beyond the count would be seen at once.
  samples = jnp.concatenate([data(), jnp.full((500, 2), 1e3)])
  made = start(share, samples, 2000)
  np.testing.assert_allclose(made.mean(0), MIDDLE, atol=0.2)
  moment = TURN @ np.cov(made.T) @ TURN.T
  # Beta is a share of the largest variance, 4.
  expected = np.maximum(VARIANCES - share * 4.0, 0.0)
  np.testing.assert_allclose(moment, np.diag(expected), atol=0.7)


@pytest.mark.slow
def test_images_stay_in_their_range():
  levels = jnp.asarray(
    np.random.default_rng(0).integers(0, 2, (40, 8, 8, 1)) * 255, jnp.uint8
  )
  network = small.PIXELS.build()
  before = network.init(KEY)
  after = convex_start.fitted(
    KEY, network, before, 4, levels, 40, share=0.02, steps=20
  )
  assert jax.tree.structure(after) == jax.tree.structure(before)
  made = network.apply(after, jax.random.normal(KEY, (50, 4)))
  assert bool(jnp.isfinite(made).all()) and made.shape == (50, 8, 8, 1)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['convex', 'pca'])
def test_pretraining_starts_near_the_moments_of_each_node(name):
  x = np.asarray(data(200))
  config = pretraining.Config(
    game=small.config(learning_rate=1e-6), schedule=small.schedule(2, 2),
    start=name, start_steps=400,
  )  # fmt: skip
  nodes, _ = cj.pretrain(KEY, [x, -x], small.VECTORS, config=config)
  for node, middle in zip(nodes, (MIDDLE, -MIDDLE), strict=True):
    made = np.asarray(node.sample(KEY, 1000))
    np.testing.assert_allclose(made.mean(0), middle, atol=0.4)
    assert 3.0 < np.trace(np.cov(made.T)) < 7.0


def test_other_starts_are_refused():
  with pytest.raises(ValueError, match="start 'warm' is not one of"):
    pretraining.Config(start='warm')
  with pytest.raises(ValueError, match='start_steps 0'):
    pretraining.Config(start_steps=0)
