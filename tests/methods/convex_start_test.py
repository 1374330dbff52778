"""Starts of pretraining: the closed form, its control, and padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.core import trees
from coalesce_jax.methods import convex_start
from coalesce_jax.methods import pretraining
from coalesce_jax.training import loop
from tests import small

KEY = jax.random.key(0)
# Variances along the axes of a turned ellipse, and its middle.
VARIANCES, MIDDLE = np.array([4.0, 1.0]), np.array([1.0, -2.0])
TURN = np.array([[0.8, 0.6], [-0.6, 0.8]])


def data(count=2000):
  normal = np.random.default_rng(0).normal(size=(count, 2))
  x = (normal * VARIANCES**0.5) @ TURN + MIDDLE
  return jnp.asarray(x, jnp.float32)


def fit(spec, samples, count, share, steps):
  """Fits two generators; the other one has its samples upside down."""
  both = jnp.stack(
    [samples, samples[:count][::-1].repeat(2, 0)[: len(samples)]]
  )
  return convex_start.fit(
    jax.random.split(KEY), spec, both, jnp.array([count, count]), share=share,
    schedule=small.schedule(steps, 20),
  )  # fmt: skip


@pytest.mark.parametrize(
  'share', [pytest.param(0.0, marks=pytest.mark.slow), 0.5]
)
def test_variances_are_those_of_the_data_less_beta(share):
  # Rows beyond the count would be seen at once.
  samples = jnp.concatenate([data(), jnp.full((500, 2), 1e3)])
  params = fit(small.VECTORS, samples, 2000, share, 600)
  made = np.asarray(
    small.VECTORS.build().apply(
      trees.member(params, 0), jax.random.normal(jax.random.key(2), (4000, 2))
    )
  )
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
  after = trees.member(fit(small.PIXELS, levels, 40, 0.02, 20), 1)
  assert jax.tree.structure(after) == jax.tree.structure(network.init(KEY))
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


@pytest.mark.slow
def test_an_interrupted_start_resumes_to_the_same_bits():
  config = pretraining.Config(
    game=small.config(), schedule=small.schedule(2, 2), start='convex',
    start_steps=8,
  )  # fmt: skip
  kept, asked = {}, []

  def hooks(stage, stops=True):
    return loop.Hooks(
      save=lambda step, tree: kept.update({stage: (step, tree)}),
      restore=lambda like: kept.get(stage),
      stop=lambda: stops and stage == 'start' and not asked.append(0),
    )

  def run(hooks):
    nodes, _ = cj.pretrain(
      jax.random.split(KEY), [data(100), -data(100)], small.VECTORS,
      config=config, hooks=hooks,
    )  # fmt: skip
    return nodes

  with pytest.raises(loop.Interrupted, match='step 2 of 8'):
    run(hooks)
  resumed = run(lambda stage: hooks(stage, stops=False))
  assert kept['start'][0] == 8 and len(asked) == 1
  for a, b in zip(
    *(jax.tree.leaves([n.params for n in x]) for x in (resumed, run(None))),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)


def test_other_starts_are_refused():
  with pytest.raises(ValueError, match="start 'warm' is not one of"):
    pretraining.Config(start='warm')
  with pytest.raises(ValueError, match='start_steps 0'):
    pretraining.Config(start_steps=0)
  with pytest.raises(ValueError, match="start 'pca': a problem"):
    pretraining.problem(data(), small.VECTORS, pretraining.Config(start='pca'))
