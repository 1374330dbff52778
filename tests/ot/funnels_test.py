"""Funnels: the moves stay on their rays, and W1 is what it should be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from scipy import spatial
from scipy import stats

from coalesce_jax.ot import funnels

KEY = jax.random.key(3)

# Compiled whole: one by one their operations take most of the time.
create = jax.jit(funnels.create, static_argnums=(1, 2))
uniform = jax.jit(funnels.uniform, static_argnums=2)
samples = jax.jit(funnels.samples, static_argnums=2)
distance = jax.jit(funnels.distance, static_argnums=2)
potential = jax.jit(funnels.potential)
gradient = jax.jit(funnels.gradient)
steepness = jax.jit(
  jax.grad(lambda x, made: jnp.sum(funnels.potential(made, x)))
)
rays = jax.jit(funnels.rays)
move = jax.jit(funnels.move)
contract = jax.jit(funnels.contract)


def pair(dimension=3, count=5, seed=1):
  return create(jax.random.key(seed), dimension, count)


@pytest.mark.parametrize('dimension,count', [(1, 1), (3, 5), (64, 9)])
def test_moves_keep_the_funnel_and_fall_by_their_length(dimension, count):
  made = pair(dimension, count)
  x = np.asarray(uniform(KEY, made, 200))
  y = np.asarray(move(made, x, 8.0))
  assert np.abs(y).max() <= funnels.HALF_WIDTH * (1.0 + 1e-5)
  fall = np.asarray(potential(made, x)) - np.asarray(potential(made, y))
  np.testing.assert_allclose(
    fall, np.linalg.norm(x - y, axis=1), rtol=1e-4, atol=1e-4
  )


def test_rays_end_where_another_funnel_or_the_border_begins():
  made = pair()
  ray = jax.tree.map(np.asarray, rays(made, uniform(KEY, made, 200)))

  def inside(r):
    point = ray.centers + (r * ray.lengths)[:, None] * ray.directions
    own = r * ray.lengths + np.asarray(potential(made, ray.centers))
    in_cube = np.abs(point).max(1) <= funnels.HALF_WIDTH + 1e-4
    return in_cube & (np.abs(np.asarray(potential(made, point)) - own) < 1e-3)

  assert inside(0.5).all() and inside(0.99).all()
  assert not inside(1.05).any()


def test_gradient_is_that_of_the_potential():
  made = pair()
  x = np.asarray(uniform(KEY, made, 200))
  found = np.asarray(gradient(made, x))
  np.testing.assert_allclose(found, steepness(x, made), atol=1e-5)
  u = lambda x: np.asarray(potential(made, x))
  for axis in range(3):
    step = np.float32(1e-2 * np.eye(3)[axis][None])
    rise = u(x + step) - u(x - step)
    # Points whose funnel changes within the step are few.
    error = np.abs(rise / 2e-2 - found[:, axis])
    assert np.quantile(error, 0.9) < 2e-2
  np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)


def test_one_funnel_on_the_line_has_a_closed_form():
  # x uniform on [-c, c], centre 0: t uniform, moved to t^p c.
  made = funnels.funnels([[0.0]], [0.3])
  value = distance(KEY, made, 200_000, power=3.0)
  truth = 2.5 * (1.0 / 2.0 - 1.0 / 4.0)
  assert abs(float(value.mean) - truth) < 4.0 * float(value.error)


def test_value_equals_exact_transport_on_the_line():
  made = pair(1, 3)
  a, b = jax.random.split(KEY)
  x = np.sort(uniform(a, made, 100_000)[:, 0])
  y = np.sort(samples(b, made, 100_000)[:, 0])
  value = distance(KEY, made, 100_000)
  assert float(value.mean) == pytest.approx(np.abs(x - y).mean(), rel=0.02)


def test_moved_clouds_are_matched_optimally_to_their_origins():
  made = pair()
  x = uniform(KEY, made, 200)
  y = move(made, x)
  cost = spatial.distance.cdist(x, y)
  rows, columns = optimize.linear_sum_assignment(cost)
  assert np.trace(cost) == pytest.approx(cost[rows, columns].sum(), rel=1e-5)


def test_three_powers_lie_on_one_geodesic():
  made = pair(16, 4)
  d12, d23, d13 = (
    float(distance(KEY, made, 5000, p, q).mean)
    for p, q in [(1.0, 4.0), (4.0, 20.0), (1.0, 20.0)]
  )
  assert d12 > 0.1 and d23 > 0.1
  assert d12 + d23 == pytest.approx(d13, rel=1e-5)


def test_sampler_is_jittable_and_vmaps_over_powers():
  made = pair()
  powers = np.array([1.0, 2.0, 8.0], np.float32)
  draw = lambda p: samples(KEY, made, 10, p)  # noqa: E731
  together = jax.jit(jax.vmap(draw))(powers)
  alone = np.stack([draw(p) for p in powers])
  np.testing.assert_allclose(together, alone, atol=1e-5)


def test_points_at_a_centre_stay():
  made = pair()
  ray = rays(made, made.centers)
  np.testing.assert_array_equal(ray.lengths, 0.0)
  np.testing.assert_array_equal(move(made, made.centers), made.centers)


def test_potential_is_the_lowest_cone_and_no_steeper_than_one():
  made = pair(3, 5)
  x = np.asarray(uniform(KEY, made, 200))
  cones = (
    spatial.distance.cdist(x, made.centers) + np.asarray(made.biases)[None]
  )
  found = np.asarray(potential(made, x))
  np.testing.assert_allclose(found, cones.min(1), rtol=1e-5)
  rise = np.abs(found[:, None] - found[None])
  assert (rise <= spatial.distance.cdist(x, x) + 1e-5).all()


def test_cones_near_each_other_far_from_the_origin_are_told_apart():
  # All of these numbers are exact in float32.
  centers = np.array([[1.0, 1.0], [1.0 + 2.0**-13, 1.0]])
  pair = funnels.funnels(centers, [0.0, 0.0])
  x = 1.0 + 2.0**-15 * np.array([[0.0, 0], [1, 0], [3, 0], [4, 0], [3, 1]])
  found = funnels.potential(pair, jnp.asarray(x, jnp.float32))
  lowest = spatial.distance.cdist(x, centers).min(1)
  np.testing.assert_allclose(found, lowest, rtol=1e-6)


def test_gradients_at_a_centre_are_finite():
  pair = funnels.funnels([[0.5, 0.0], [-1.0, 0.25]], [0.0, 0.125])
  value = lambda x: jnp.sum(funnels.potential(pair, x))
  slope = jax.jit(jax.grad(value))
  np.testing.assert_array_equal(slope(pair.centers), 0.0)
  move = lambda x: funnels.move(pair, x)
  slopes = jax.jit(jax.jacobian(move))(pair.centers)
  assert np.isfinite(slopes).all()


def test_distances_are_symmetric_and_scale_with_the_cube():
  made = pair()
  value = lambda f, p, q: float(distance(KEY, f, 1000, p, q).mean)
  found = value(made, 3.0, 8.0)
  assert found > 0.05
  assert value(made, 8.0, 3.0) == pytest.approx(found, rel=1e-6)
  assert value(made, 3.0, 3.0) == 0.0
  scaled = funnels.Funnels(*(4.0 * np.asarray(leaf) for leaf in made))
  assert value(scaled, 3.0, 8.0) == pytest.approx(4.0 * found, rel=1e-4)


def test_a_constant_added_to_the_potential_moves_nothing():
  made = pair()
  x = uniform(KEY, made, 200)
  higher = made._replace(biases=np.asarray(made.biases) + 1.0)
  np.testing.assert_allclose(move(higher, x), move(made, x), atol=1e-4)
  np.testing.assert_allclose(
    potential(higher, x), np.asarray(potential(made, x)) + 1.0, rtol=1e-5
  )


def test_twins_and_funnels_that_never_win_change_nothing():
  alone = funnels.funnels([[0.5, -1.0]], [0.0])
  x = uniform(KEY, alone, 200)
  expected = move(alone, x)
  twins = funnels.funnels([[0.5, -1.0], [0.5, -1.0]], [0.0, 0.0])
  np.testing.assert_allclose(move(twins, x), expected, atol=1e-5)
  hidden = funnels.funnels([[0.5, -1.0], [2.0, 2.0]], [0.0, 50.0])
  np.testing.assert_allclose(move(hidden, x), expected, atol=1e-5)


def test_random_funnels_and_points_follow_the_protocol():
  made = pair(2, 5000)
  centers, biases = np.asarray(made.centers), np.asarray(made.biases)
  assert np.abs(centers).max() <= 2.5
  assert centers.std() == pytest.approx(5 / 12**0.5, rel=0.03)
  assert biases.mean() == pytest.approx(0.0, abs=0.006)
  assert biases.std() == pytest.approx(0.1, rel=0.05)
  x = np.asarray(uniform(KEY, pair(), 5000))
  np.testing.assert_allclose(x.mean(0), 0.0, atol=0.1)
  np.testing.assert_allclose(x.std(0), 5 / 12**0.5, rtol=0.05)
  again = pair(2, 5000)
  np.testing.assert_array_equal(made.centers, again.centers)
  assert not np.array_equal(made.centers, pair(2, 5000, seed=2).centers)
  assert samples(KEY, pair(3), 1).shape == (1, 3)


def test_mean_and_error_equal_those_of_scipy():
  values = np.random.default_rng(0).normal(size=50)
  found = funnels.mean_and_error(jnp.asarray(values))
  assert float(found.mean) == pytest.approx(values.mean(), rel=1e-5)
  assert float(found.error) == pytest.approx(
    stats.sem(values, ddof=0), rel=1e-5
  )


@pytest.mark.parametrize(
  'arguments,name',
  [
    (([1.0], [0.0]), 'centers'),
    (([[1.0], [1.0, 2.0]], [0.0, 0.0]), 'centers'),
    ((np.zeros((0, 2)), []), 'centers'),
    (([[np.nan]], [0.0]), 'centers'),
    (([[1.0]], [0.0, 1.0]), 'biases'),
    (([[1.0]], [np.inf]), 'biases'),
    (([[3.0]], [0.0]), 'half_width'),
    (([[0.0]], [0.0], 0.0), 'half_width'),
    (([[0.0]], [0.0], -1.0), 'half_width'),
    (([[0.0]], [0.0], np.nan), 'half_width'),
    (([[0.0]], [0.0], np.inf), 'half_width'),
  ],
)
def test_bad_funnels_are_refused_by_name(arguments, name):
  with pytest.raises(ValueError, match=f'^{name}: '):
    funnels.funnels(*arguments)


@pytest.mark.parametrize(
  'call',
  [funnels.potential, funnels.gradient, funnels.rays, funnels.move],
)
@pytest.mark.parametrize('shape', [(5, 1), (5, 4), (3,)])
def test_points_that_do_not_fit_are_refused_by_name(call, shape):
  with pytest.raises(ValueError, match='^x: shape'):
    call(pair(3), jnp.zeros(shape))


def test_sizes_below_one_are_refused_by_name():
  with pytest.raises(ValueError, match='^dimension: 0'):
    funnels.create(KEY, 0, 3)
  with pytest.raises(ValueError, match='^count: 0'):
    funnels.create(KEY, 3, 0)
  for call in (funnels.uniform, funnels.samples, funnels.distance):
    with pytest.raises(ValueError, match='^n: 0'):
      call(KEY, pair(3), 0)


@pytest.mark.parametrize('dimension,count', [(1, 3), (3, 5)])
def test_contractions_lie_on_one_geodesic(dimension, count):
  found = pair(dimension, count)
  x = uniform(jax.random.key(2), found, 200)
  half, most = (np.asarray(contract(found, x, s)) for s in (0.25, 0.6))
  radius = np.asarray(rays(found, x).radii).mean()
  np.testing.assert_allclose(contract(found, x, 0.0), x, atol=1e-6)
  # The potential falls by the length of the move: both are optimal.
  u = lambda x: np.asarray(potential(found, x)).mean()
  assert u(half) - u(most) == pytest.approx(0.35 * radius, rel=1e-4)
  moved = np.linalg.norm(half - most, axis=1).mean()
  assert moved == pytest.approx(0.35 * radius, rel=1e-4)


def test_legacy_keys_give_the_points_of_the_typed_keys():
  def points(key):
    pair = funnels.create(key, 3, 4)
    return (
      pair.centers, funnels.uniform(key, pair, 5),
      funnels.samples(key, pair, 5), funnels.distance(key, pair, 5).mean,
    )  # fmt: skip

  typed, legacy = points(jax.random.key(2)), points(jax.random.PRNGKey(2))
  for a, b in zip(typed, legacy, strict=True):
    np.testing.assert_array_equal(a, b)
  pair = funnels.create(jax.random.key(2), 3, 4)
  for refused in (
    lambda: funnels.create(2, 3, 4), lambda: funnels.uniform(2, pair, 5)
  ):  # fmt: skip
    with pytest.raises(ValueError, match='^key: the number 2, not a random'):
      refused()


@pytest.mark.parametrize(
  'biases,half_width', [([1e39], 1.0), ([0.0], 1e-60), ([0.0], 1e30)]
)
def test_sizes_that_float32_cannot_square_are_refused(biases, half_width):
  with pytest.raises(ValueError, match='out of range'):
    funnels.funnels([[0.0, 0.0]], biases, half_width)


def test_the_error_of_a_single_value_is_unknown():
  found = funnels.mean_and_error(jnp.array([3.0]))
  assert float(found.mean) == 3.0 and np.isnan(found.error)
