"""Averages of distance estimates and positions, in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.gan import distances


@pytest.mark.parametrize('decay', [0.0, 0.9])
def test_a_corrected_average_is_the_weighted_mean_of_the_estimates(decay):
  estimates = np.array([[1.0, -2.0], [4.0, 0.5], [2.0, 3.0]])
  mean = jnp.zeros(2)
  for now in estimates:
    mean = distances.smoothed(mean, jnp.asarray(now), decay)
  # The newest counts 1, those before it decay, decay^2, ...
  powers = decay ** np.arange(3.0)[::-1]
  expected = np.average(estimates, axis=0, weights=powers)
  found = distances.corrected(mean, decay, jnp.int32(3))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_average_without_correction_starts_at_zero():
  after = distances.smoothed(jnp.zeros(2), jnp.array([1.0, 2.0]), 0.75)
  np.testing.assert_allclose(after, [0.25, 0.5])
  again = distances.smoothed(after, jnp.zeros(2), 0.75)
  np.testing.assert_allclose(again, [0.1875, 0.375])


@pytest.mark.parametrize(
  ('w1', 'position', 'residual'),
  [
    # Both sources are 5 apart.
    ([0.0, 5.0], 0.0, 0.0),
    ([5.0, 0.0], 1.0, 0.0),
    ([1.0, 4.0], 0.2, 0.0),
    ([3.0, 9.0], 0.25, 7.0),
    # Estimates below 0 count as 0.
    ([-0.5, 5.0], 0.0, -0.5),
    ([5.0, -4.999999], 1.0, -4.999999),
    # Light is not none.
    ([1e-15, 3e-15], 0.25, -5.0),
    # Nowhere.
    ([0.0, 0.0], np.nan, -5.0),
    ([-1.0, -2.0], np.nan, -8.0),
    ([np.nan, 1.0], np.nan, np.nan),
  ],
)
def test_a_generator_lies_where_its_distances_say(w1, position, residual):
  found = distances.segment(jnp.array(w1), jnp.array([5.0, 0.3]))
  assert sorted(found) == ['distance', 'position', 'residual']
  np.testing.assert_allclose(found['position'], position, rtol=1e-6)
  np.testing.assert_allclose(found['residual'], residual, atol=1e-6)
  assert float(found['distance']) == 5.0


@pytest.mark.parametrize('decay', [0.9999, 1.0 - 1e-7])
@pytest.mark.parametrize('count', [1, 7])
def test_slow_averages_are_corrected_to_rounding(decay, count):
  # The average of equal estimates, in float64.
  mean = 3.0 * (1.0 - decay**count)
  found = distances.corrected(jnp.float32(mean), decay, jnp.int32(count))
  assert float(found) == pytest.approx(3.0, rel=1e-6)
