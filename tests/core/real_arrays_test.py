"""Numbers of callers: what becomes float64, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import real_arrays


@pytest.mark.parametrize(
  'values',
  [
    [[1, 2], [3, 4]],
    np.array([[1, 2], [3, 4]], np.uint8),
    np.asfortranarray(np.float16([[1, 2], [3, 4]])),
    jnp.array([[1, 2], [3, 4]], jnp.bfloat16),
    np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]]),
  ],
)
def test_real_numbers_become_float64(values):
  found = real_arrays.convert(values, 'x')
  assert type(found) is np.ndarray and found.dtype == np.float64
  np.testing.assert_array_equal(found, [[1.0, 2.0], [3.0, 4.0]])


class Tensor:
  """A tensor that NumPy cannot read."""

  def __array__(self, dtype=None, copy=None):
    raise RuntimeError('on a device\nsecond line')


@pytest.mark.parametrize(
  'values,message',
  [
    ([1.0 + 0.0j, 2.0], '^x: complex'),
    (np.array([1j], object), '^x: not an array of numbers'),
    (['a'], '^x: not an array of numbers'),
    ([[1.0], [1.0, 2.0]], '^x: not an array of numbers'),
    ({'a': 1}, '^x: not an array of numbers'),
    (Tensor(), r'^x: not an array of numbers \(on a device\)$'),
    (np.ma.masked_array([1.0, 2.0], [True, False]), '^x: values are masked'),
  ],
)
def test_other_values_are_refused_in_one_line(values, message):
  with pytest.raises(ValueError, match=message) as caught:
    real_arrays.convert(values, 'x')
  assert '\n' not in str(caught.value)
