"""Funnels: the moves stay on their rays, and W1 is what it should be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from scipy.spatial import distance

from coalesce_jax.ot import funnels

KEY = jax.random.key(3)


def pair(dimension=3, count=5, seed=1):
  return funnels.create(jax.random.key(seed), dimension, count)


@pytest.mark.parametrize('dimension,count', [(1, 1), (1, 4), (2, 16), (64, 9)])
def test_moves_keep_the_funnel_and_fall_by_their_length(dimension, count):
  made = pair(dimension, count)
  x = funnels.uniform(KEY, made, 500)
  y = funnels.move(made, x, 8.0)
  assert float(jnp.max(jnp.abs(y))) <= funnels.HALF_WIDTH * (1.0 + 1e-5)
  fall = funnels.potential(made, x) - funnels.potential(made, y)
  np.testing.assert_allclose(
    fall, jnp.linalg.norm(x - y, axis=1), rtol=1e-4, atol=1e-4
  )


def test_rays_end_where_another_funnel_or_the_border_begins():
  made = pair(2, 6)
  ray = funnels.rays(made, funnels.uniform(KEY, made, 300))

  def inside(r):
    point = ray.centers + (r * ray.lengths)[:, None] * ray.directions
    own = r * ray.lengths + funnels.potential(made, ray.centers)
    in_cube = jnp.max(jnp.abs(point), 1) <= funnels.HALF_WIDTH + 1e-4
    return in_cube & (jnp.abs(funnels.potential(made, point) - own) < 1e-3)

  assert bool(jnp.all(inside(0.5))) and bool(jnp.all(inside(0.99)))
  assert not bool(jnp.any(inside(1.05)))


def test_gradient_is_that_of_the_potential():
  made = pair(4, 5)
  x = funnels.uniform(KEY, made, 200)
  found = funnels.gradient(made, x)
  auto = jax.grad(lambda v: jnp.sum(funnels.potential(made, v)))(x)
  np.testing.assert_allclose(found, auto, atol=1e-5)
  step = 1e-2
  for axis in range(4):
    move = step * jnp.eye(4)[axis][None]
    rise = funnels.potential(made, x + move) - funnels.potential(made, x - move)
    # Points whose funnel changes within the step are few.
    error = jnp.abs(rise / (2.0 * step) - found[:, axis])
    assert float(jnp.quantile(error, 0.9)) < 2e-2
  np.testing.assert_allclose(jnp.linalg.norm(found, axis=1), 1.0, rtol=1e-5)


def test_one_funnel_on_the_line_has_a_closed_form():
  # x uniform on [-c, c], centre 0: t uniform, moved to t^p c.
  made = funnels.funnels([[0.0]], [0.3])
  value = funnels.distance(KEY, made, 200_000, power=3.0)
  truth = 2.5 * (1.0 / 2.0 - 1.0 / 4.0)
  assert abs(float(value.mean) - truth) < 4.0 * float(value.error)


def test_value_equals_exact_transport_on_the_line():
  made = pair(1, 3)
  a, b = jax.random.split(KEY)
  x = np.sort(funnels.uniform(a, made, 100_000)[:, 0])
  y = np.sort(funnels.samples(b, made, 100_000)[:, 0])
  value = funnels.distance(KEY, made, 100_000)
  assert float(value.mean) == pytest.approx(np.abs(x - y).mean(), rel=0.02)


def test_moved_clouds_are_matched_optimally_to_their_origins():
  made = pair(3, 4)
  x = funnels.uniform(KEY, made, 300)
  y = funnels.move(made, x)
  cost = distance.cdist(x, y)
  rows, columns = optimize.linear_sum_assignment(cost)
  assert np.trace(cost) == pytest.approx(cost[rows, columns].sum(), rel=1e-5)


def test_three_powers_lie_on_one_geodesic():
  made = pair(16, 4)
  d12, d23, d13 = (
    float(funnels.distance(KEY, made, 5000, p, q).mean)
    for p, q in [(1.0, 4.0), (4.0, 20.0), (1.0, 20.0)]
  )
  assert d12 > 0.1 and d23 > 0.1
  assert d12 + d23 == pytest.approx(d13, rel=1e-5)


def test_sampler_is_jittable_and_vmaps_over_powers():
  made = pair(2, 4)
  powers = jnp.array([1.0, 2.0, 8.0])
  draw = lambda p: funnels.samples(KEY, made, 10, p)  # noqa: E731
  together = jax.jit(jax.vmap(draw))(powers)
  alone = jnp.stack([draw(p) for p in powers])
  np.testing.assert_allclose(together, alone, atol=1e-5)


def test_points_at_a_centre_stay():
  made = pair(2, 3)
  ray = funnels.rays(made, made.centers)
  np.testing.assert_array_equal(ray.lengths, 0.0)
  np.testing.assert_array_equal(funnels.move(made, made.centers), made.centers)


@pytest.mark.parametrize(
  'arguments,message',
  [
    (([1.0], [0.0]), 'centers'),
    (([[1.0]], [0.0, 1.0]), 'biases'),
    (([[np.nan]], [0.0]), 'finite'),
    (([[3.0]], [0.0]), 'half_width'),
    ((np.zeros((0, 2)), []), 'centers'),
  ],
)
def test_bad_funnels_are_refused_by_name(arguments, message):
  with pytest.raises(ValueError, match=message):
    funnels.funnels(*arguments)


def test_sizes_below_one_are_refused():
  with pytest.raises(ValueError, match='dimension 0'):
    funnels.create(KEY, 0, 3)
