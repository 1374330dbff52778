"""How far a node counts, and the noise of the average."""

import numpy as np
import pytest

from coalesce_jax.federated import privacy


def test_an_update_is_scaled_as_a_whole_to_the_bound():
  start = {'a': np.float32([1.0, 1.0]), 'b': np.float32(5.0)}
  end = {'a': np.float32([4.0, 1.0]), 'b': np.float32(9.0)}
  # The update is (3, 0, 4), of norm 5.
  found = privacy.clipped(start, end, 2.5)
  np.testing.assert_allclose(found['a'], [2.5, 1.0], rtol=1e-6)
  np.testing.assert_allclose(found['b'], 7.0, rtol=1e-6)
  kept = privacy.clipped(start, end, 5.5)
  np.testing.assert_allclose(kept['a'], end['a'], rtol=1e-6)
  same = privacy.clipped(start, start, 1.0)
  np.testing.assert_array_equal(same['a'], start['a'])


def test_noise_has_the_deviation_that_is_asked_for():
  zero = {'a': np.zeros((100, 100), np.float32)}
  found = privacy.noised(zero, 0.5, np.random.default_rng(0))['a']
  assert found.dtype == np.float32
  np.testing.assert_allclose(np.std(found), 0.5, rtol=0.03)
  assert abs(np.mean(found)) < 0.02


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'clip': -1.0}, 'clip -1.0 is negative'),
    ({'clip': 1.0, 'noise': float('nan')}, 'noise nan'),
    ({'noise': 1.0}, 'noise 1 needs clip'),
  ],
  ids=['negative', 'nan', 'unbounded'],
)
def test_bounds_that_mean_nothing_are_refused(given, message):
  with pytest.raises(ValueError, match=message):
    privacy.Privacy(**given)
