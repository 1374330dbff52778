"""Barycenters of known laws, by the very function that images use.

Generators whose affine path alone is on have Gaussian laws that are known
exactly; what comes back is judged by exact W1 of samples, not by its critics.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from coalesce_jax.gan import game
from coalesce_jax.methods import barycenter
from coalesce_jax.models import generator
from coalesce_jax.ot import exact as exact_lib
from coalesce_jax.training import loop

STEPS = 800
DIMENSIONS = [1, 2]
CONFIG = barycenter.Config(
  game=game.Config(
    penalty='one_sided',
    critic_steps=5,
    learning_rate=1e-3,
    batch_size=256,
    decay_steps=STEPS,
    ema=0.99,
  ),
  schedule=loop.Schedule(steps=STEPS, chunk=100),
  warmup=100,
)


def gaussian(mean, scale=1.0):
  """A generator of N(mean, scale^2 I)."""
  mean = np.atleast_1d(np.asarray(mean, np.float32))
  options = generator.freeze({'hidden': (64, 64)})
  spec = generator.Spec('mlp', len(mean), mean.shape, options, 'mlp', options)
  params = spec.build().init(jax.random.key(7))
  params['out'] = jax.tree.map(jnp.zeros_like, params['out'])
  params['affine'] = {
    'kernel': scale * jnp.eye(len(mean)),
    'bias': jnp.asarray(mean),
  }
  return generator.create(spec, params)


def solve(members, weights, *, start=0, seed=0, config=CONFIG, **settings):
  """The barycenter, its exact distances to the members, and the history."""
  config = dataclasses.replace(config, start=start)
  made, history = barycenter.barycenter(
    jax.random.key(seed), members, weights, config=config, **settings
  )
  distances = [
    exact(made.sample(jax.random.key(1), 20000), m.sample(jax.random.key(2 + k), 20000))  # noqa: E501
    for k, m in enumerate(members)
  ]  # fmt: skip
  return made, np.array(distances), history


def exact(a, b):
  """Exact W1 of two clouds: by sorting in 1-D, by assignment otherwise."""
  a, b = np.asarray(a), np.asarray(b)
  if a.shape[1] == 1:
    return float(np.mean(np.abs(np.sort(a[:, 0]) - np.sort(b[:, 0]))))
  return exact_lib.w1(a[:1000], b[:1000])


def shifted(dimension, distance):
  """N(0, I) and its translate along the first axis."""
  other = np.zeros(dimension)
  other[0] = distance
  return [gaussian(np.zeros(dimension)), gaussian(other)]


@pytest.mark.slow
@pytest.mark.parametrize('dimension', DIMENSIONS)
def test_t1_equal_weights_reach_half_the_distance(dimension):
  _, distances, history = solve(
    shifted(dimension, 4.0), (0.5, 0.5), objective='w1'
  )
  assert 0.5 * distances.sum() == pytest.approx(2.0, rel=0.03)
  assert abs(history['residual'][-1]) < 0.05 * 4.0


# From one input all the way to the other. With the settings of the other truths
# it is not there yet: two keys of five ended 4 % of the distance away.
FAR = dataclasses.replace(
  CONFIG,
  game=dataclasses.replace(
    CONFIG.game,
    critic_learning_rate=4e-3,
    beta1=0.5,
    decay_steps=2 * STEPS,
  ),
  schedule=loop.Schedule(steps=2 * STEPS, chunk=100),
)


@pytest.mark.slow
@pytest.mark.parametrize('dimension', DIMENSIONS)
def test_t2_unequal_weights_return_the_heavier_input(dimension):
  members = shifted(dimension, 4.0)
  _, distances, history = solve(
    members, (0.7, 0.3), start=1, objective='w1', config=FAR
  )
  # Two clouds of one law are not at distance 0: compare with that.
  floor = exact(
    members[0].sample(jax.random.key(5), 20000),
    members[0].sample(jax.random.key(6), 20000),
  )
  assert distances[0] < floor + 0.04 * 4.0
  assert history['objective'][-1] == pytest.approx(0.3 * 4.0, rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize('dimension', DIMENSIONS)
def test_t2s_squared_distances_put_the_weights_on_the_segment(dimension):
  _, distances, history = solve(
    shifted(dimension, 4.0), (0.3, 0.7), objective='w1_squared'
  )
  position = distances[0] / distances.sum()
  assert position == pytest.approx(0.7, abs=0.05)
  assert history['position'][-1] == pytest.approx(position, abs=0.02)


@pytest.mark.slow
def test_t3_three_laws_on_the_line_reach_the_median_of_their_quantiles():
  laws = [(0.0, 1.0), (2.0, 0.5), (3.0, 2.0)]
  weights = np.array([0.4, 0.3, 0.3])
  _, distances, _ = solve(
    [gaussian([m], s) for m, s in laws], weights, start=2, objective='w1'
  )
  levels = (np.arange(4000) + 0.5) / 4000
  quantiles = np.stack([stats.norm.ppf(levels, m, s) for m, s in laws])
  order = np.argsort(quantiles, 0)
  heavy = np.cumsum(weights[order], 0) >= 0.5 - 1e-9
  pick = np.take_along_axis(order, heavy.argmax(0)[None], 0)
  median = np.take_along_axis(quantiles, pick, 0)
  best = float(np.mean(weights @ np.abs(quantiles - median)))
  value = float(weights @ distances)
  assert best * 0.99 < value < best * 1.05


@pytest.mark.slow
@pytest.mark.parametrize('dimension', DIMENSIONS)
def test_t4_scalings_return_the_median_scale_not_the_mean(dimension):
  scales = np.array([1.0, 2.0, 6.0])
  made, distances, _ = solve(
    [gaussian(np.zeros(dimension), s) for s in scales],
    None,
    start=2,
    objective='w1',
  )
  x = np.asarray(made.sample(jax.random.key(9), 20000))
  radius = np.linalg.norm(x, axis=1).mean()
  unit = np.sqrt(2.0 / np.pi) if dimension == 1 else np.sqrt(np.pi / 2.0)
  # The W2 barycenter has scale 3.
  assert radius / unit == pytest.approx(2.0, rel=0.06)
  if dimension == 1:
    assert distances.mean() == pytest.approx(1.3298, rel=0.04)


# The recursion below and `experiments/ground_truth` stay in the default run.
@pytest.mark.slow
def test_t5_translates_reach_the_fermat_weber_value():
  means = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
  made, distances, history = solve(
    [gaussian(m, 0.5) for m in means], None, start=1, objective='w1'
  )
  assert distances.mean() == pytest.approx(2.25548, rel=0.03)
  assert history['objective'][-1] == pytest.approx(2.25548, rel=0.03)
  centre = np.asarray(made.sample(jax.random.key(9), 20000)).mean(0)
  value = np.linalg.norm(means - centre[None], axis=1).mean()
  assert value == pytest.approx(2.25548, rel=0.02)


@pytest.mark.slow
def test_t5_on_the_line_is_the_median_of_the_means():
  made, distances, _ = solve(
    [gaussian([m], 0.5) for m in (-2.0, 0.0, 3.0)], None, objective='w1'
  )
  assert distances.mean() == pytest.approx(5.0 / 3.0, rel=0.04)
  mean = float(np.mean(made.sample(jax.random.key(9), 20000)))
  assert mean == pytest.approx(0.0, abs=0.15)


@pytest.mark.slow
def test_recursion_with_squared_distances_returns_the_mean_not_the_median():
  made, _, history = solve(
    [gaussian([m], 0.5) for m in (-2.0, 0.0, 3.0)], None, method='recursive'
  )
  mean = float(np.mean(made.sample(jax.random.key(9), 20000)))
  assert mean == pytest.approx(1.0 / 3.0, abs=0.15)
  assert sorted(set(history['round'].tolist())) == [1, 2]


@pytest.mark.slow
def test_ball_stays_within_its_radius():
  _, distances, history = solve(
    shifted(1, 4.0), None, start=1, objective='ball', radii=(0.0, 1.0)
  )
  assert distances[1] == pytest.approx(1.0, abs=0.15)
  assert distances.sum() == pytest.approx(4.0, rel=0.05)
  assert history['multiplier'][-1][1] > 0.0
