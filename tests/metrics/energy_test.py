"""The energy distance against double sums, and its invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import distance

from coalesce_jax.metrics import energy

RNG = np.random.default_rng(0)
A, B = (
  RNG.normal(size=(7, 3)).astype(np.float32),
  RNG.normal(size=(5, 3)).astype(np.float32) + 0.5,
)
ENERGY = jax.jit(lambda a, b: energy.energy_distance(a, b))


def test_three_points_on_the_line_are_done_by_hand():
  # Twice the mean of |0 - 1| and |0 - 3|, less |1 - 3|.
  found = ENERGY(np.zeros((1, 1), 'f4'), np.array([[1.0], [3.0]], 'f4'))
  assert float(found) == pytest.approx(2.0 * 2.0 - 2.0, abs=1e-6)


def test_equals_the_double_sums():
  expected = 2.0 * distance.cdist(A, B).mean() - distance.pdist(B).mean()
  assert float(ENERGY(A, B)) == pytest.approx(expected, rel=1e-5)


def test_images_are_their_values():
  images = (x.reshape(-1, 3, 1, 1) for x in (A, B))
  assert float(ENERGY(*images)) == pytest.approx(float(ENERGY(A, B)))


def test_moves_scales_and_turns_along_in_any_order():
  turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
  value = float(ENERGY(A, B))
  for a, b, factor in (
    (A + 2.0, B + 2.0, 1.0),
    (3.0 * A, 3.0 * B, 3.0),
    (A @ turn, B @ turn, 1.0),
    (A[::-1], B[::-1], 1.0),
  ):
    assert float(ENERGY(a, b)) == pytest.approx(factor * value, rel=1e-4)


def test_is_least_for_samples_of_the_same_distribution():
  a = RNG.normal(size=(300, 2)).astype(np.float32)
  b = RNG.normal(size=(300, 2)).astype(np.float32)
  same = float(ENERGY(a, b))
  for other in (b + 1.0, 0.5 * b, 2.0 * b, 0.0 * b):
    assert float(ENERGY(a, other)) > same + 0.1


def test_members_of_an_ensemble_are_measured_as_each_alone():
  b = np.stack([B, 2.0 * B])
  together = jax.jit(jax.vmap(energy.energy_distance, (None, 0)))(A, b)
  for value, one in zip(together, b, strict=True):
    assert float(value) == pytest.approx(float(ENERGY(A, one)), rel=1e-5)


@pytest.mark.parametrize(
  'offset,scale', [(1e4, 1.0), (-1e8, 1.0), (0.0, 1e-6), (1e4, 1e6)]
)
def test_far_and_small_samples_keep_their_digits(offset, scale):
  rng = np.random.default_rng(2)
  a, b = offset + scale * rng.normal(size=(2, 20, 3))
  expected = 2.0 * distance.cdist(a, b).mean() - distance.pdist(b).mean()
  assert float(energy.energy_distance(a, b)) == pytest.approx(
    expected, rel=1e-5, abs=0
  )


def test_an_offset_within_jax_costs_what_float32_rounds():
  # All of these values are exact in float32.
  a, b = (np.round(8.0 * x) / 8.0 + 1e4 for x in (A, B))
  expected = 2.0 * distance.cdist(a, b).mean() - distance.pdist(b).mean()
  found = ENERGY(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32))
  assert float(found) == pytest.approx(expected, rel=1e-6)


def test_clusters_far_apart_keep_the_distances_within_them():
  b = np.concatenate([B, B + 1e4]).astype(np.float32)
  expected = 2.0 * distance.cdist(b, b).mean() - distance.pdist(b).mean()
  assert float(ENERGY(b, b)) == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_finite_differences():
  with jax.enable_x64(True):
    b = jnp.asarray(np.concatenate([B, B[:1]]), jnp.float64)
    a = jnp.asarray(A, jnp.float64)
    slope = jax.jit(jax.grad(energy.energy_distance, (0, 1)))(a, b)
    value = jax.jit(energy.energy_distance)
    # The first and last generated samples are equal: no slope in their gap.
    for which, i, j in ((1, 1, 0), (1, 3, 2), (0, 0, 1), (0, 6, 2)):
      ends = []
      for step in (1e-6, -1e-6):
        both = [a, b]
        both[which] = both[which].at[i, j].add(step)
        ends.append(float(value(*both)))
      rise = (ends[0] - ends[1]) / 2e-6
      assert float(slope[which][i, j]) == pytest.approx(rise, abs=1e-8)
    assert np.isfinite(slope[1]).all()


def test_a_sample_on_another_pulls_nothing():
  a = jnp.zeros((1, 2))
  # The two generated samples push each other; a real one on them pulls none.
  slope = jax.grad(energy.energy_distance, 1)(
    a, jnp.array([[0.0, 0.0], [3, 4]])
  )
  np.testing.assert_allclose(slope, [[0.6, 0.8], [0.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize(
  'a,b', [(A, B[:1]), (A[:0], B), (A, B[:, :2]), (A[:, None], B)]
)
def test_samples_that_have_no_distance_are_refused(a, b):
  with pytest.raises(ValueError, match='samples'):
    energy.energy_distance(a, b)


def gradients(a, b):
  """The gradients for both samples from all unit vectors, in float64."""
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)

  def units(x, y):
    gap = x[:, None] - y[None]
    size = np.linalg.norm(gap, axis=-1, keepdims=True)
    return np.divide(gap, size, np.zeros_like(gap), where=size > 0.0)

  between, own = units(a, b), units(b, b)
  n, m = len(a), len(b)
  to_a = 2.0 * between.sum(1) / (n * m)
  to_b = -2.0 * between.sum(0) / (n * m) - 2.0 * own.sum(1) / (m * (m - 1))
  return to_a, to_b


def kinds(dimension):
  """Samples of which some are near each other beside their norms."""
  rng = np.random.default_rng(dimension)
  a, b = rng.normal(size=(2, 24, dimension))
  twins = np.concatenate([b[:12], b[:12]])
  far = np.arange(24)[:, None] < 8
  return {
    'plain': (a, b),
    'equal': (a, 0.0 * b + 0.3),
    'collapsed': (a, 0.5 + 1e-4 * b),
    'twins': (np.concatenate([b[:6], a[6:]]), twins),
    'outlier': (a, np.where(np.arange(24)[:, None] == 0, 1e4 * b, b)),
    'clusters': (a + 1e3 * far, b + 1e3 * far),
    'ties': (np.round(a), np.round(b)),
  }


@pytest.mark.parametrize('dimension', [1, 300])
def test_near_samples_keep_the_digits_of_value_and_gradient(dimension):
  both = jax.jit(jax.value_and_grad(energy.energy_distance, (0, 1)))
  for name, pair in kinds(dimension).items():
    for offset, scale in (
      (0.0, 1.0), (1e6, 1.0), (1e3, 1e-6), (0.0, 1e-25), (0.0, 1e25)
    ):  # fmt: skip
      a, b = (np.float32((x + offset) * scale) for x in pair)
      value, slopes = both(jnp.asarray(a), jnp.asarray(b))
      wide = a.astype(np.float64), b.astype(np.float64)
      between = 2.0 * distance.cdist(*wide).mean()
      own = distance.pdist(wide[1]).mean()
      assert float(value) == pytest.approx(
        between - own, abs=2e-6 * (between + own)
      ), name
      for found, expected in zip(slopes, gradients(a, b), strict=True):
        # In units of the pull of a single sample.
        np.testing.assert_allclose(
          24.0 * found, 24.0 * expected, atol=2e-5, err_msg=name
        )


def test_many_samples_are_those_of_the_double_sums():
  rng = np.random.default_rng(3)
  a, b = rng.normal(size=(1500, 2)), rng.normal(size=(1100, 2))
  b[1050:] = b[:50]
  a, b = a.astype(np.float32), b.astype(np.float32)
  both = jax.jit(jax.value_and_grad(energy.energy_distance, (0, 1)))
  value, slopes = both(jnp.asarray(a), jnp.asarray(b))
  expected = 2.0 * distance.cdist(a, b).mean() - distance.pdist(b).mean()
  assert float(value) == pytest.approx(expected, rel=2e-6)
  for found, exact in zip(slopes, gradients(a, b), strict=True):
    np.testing.assert_allclose(len(a) * found, len(a) * exact, atol=2e-5)


def test_replicas_have_the_gradients_of_each_alone():
  b = np.stack([B, 0.0 * B + B[:1], B + np.float32(1e3)])
  slope = jax.grad(energy.energy_distance, 1)
  together = jax.jit(jax.vmap(slope, (None, 0)))(A, b)
  for found, one in zip(together, b, strict=True):
    np.testing.assert_allclose(found, gradients(A, one)[1], atol=1e-6)
  # Forward, along a direction.
  _, rise = jax.jvp(lambda b: energy.energy_distance(A, b), (B,), (B,))
  expected = (gradients(A, B)[1] * B).sum()
  assert float(rise) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_sample_that_is_not_finite_has_no_distance(bad):
  b = B.copy()
  b[1, 2] = bad
  assert not np.isfinite(ENERGY(A, b))
  assert not np.isfinite(ENERGY(b, B))


def test_lists_levels_and_halves_are_numbers_too():
  # Twice the mean of |0 - 1| and |0 - 3|, less |1 - 3|, at any offset.
  assert energy.energy_distance([[0.0]], [[1.0], [3.0]]) == 2.0
  levels = np.array([[250], [251], [253]], np.uint8)
  assert energy.energy_distance(levels[:1], levels[1:]) == 2.0
  halves = jnp.asarray(levels, jnp.float16) * 64
  assert energy.energy_distance(halves[:1], halves[1:]) == 128.0


def test_bytes_in_another_order_are_the_same_numbers():
  expected = float(energy.energy_distance(A, B))
  for pair in ((A.astype('>f4'), jnp.asarray(B)), (A, B.astype('>f8'))):
    assert float(energy.energy_distance(*pair)) == pytest.approx(expected)
