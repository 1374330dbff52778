"""Arguments of the references: what is taken, and how others are named."""

import numpy as np
import pytest

from coalesce_jax.ot import validation


def test_numbers_become_float64():
  for values in (
    [[1, 2], [3, 4]],
    np.arange(1, 5, dtype=np.uint8).reshape(2, 2),
  ):
    found = validation.array(values, 'x')
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[1.0, 2.0], [3.0, 4.0]])
  found = validation.point_cloud(np.float32([[0.5]]))
  assert found.dtype == np.float64 and found.shape == (1, 1)


def test_points_on_the_line_may_be_a_column():
  for x in ([3.0, 1.0], [[3.0], [1.0]]):
    np.testing.assert_array_equal(validation.line(x), [3.0, 1.0])


def test_pairs_keep_their_order():
  x, y = validation.pair([[1.0, 2.0]], [[3, 4], [5, 6]])
  np.testing.assert_array_equal(x, [[1.0, 2.0]])
  np.testing.assert_array_equal(y, [[3.0, 4.0], [5.0, 6.0]])


def test_no_weights_are_equal_ones():
  np.testing.assert_array_equal(validation.weights(None, 4), [0.25] * 4)


def test_weights_within_rounding_are_brought_to_a_sum_of_one():
  found = validation.weights([0.5, 0.0, 0.5 + 9e-7], 3)
  assert found.sum() == pytest.approx(1.0, abs=1e-15)
  assert found[2] / found[0] == pytest.approx(1.0 + 1.8e-6, abs=1e-12)
  for sum_of in (1.0 + 1.1e-6, 1.0 - 1.1e-6):
    with pytest.raises(ValueError, match='^weights: sum to .*, not to 1'):
      validation.weights([0.5, sum_of - 0.5], 2)


def test_points_of_no_weight_drop_out():
  x = np.array([[1.0], [2.0], [3.0]])
  points, found = validation.weighted(x, [0.25, 0.0, 0.75], 'a')
  np.testing.assert_array_equal(points, [[1.0], [3.0]])
  np.testing.assert_array_equal(found, [0.25, 0.75])
  points, found = validation.weighted(x, None, 'a')
  assert len(points) == len(found) == 3
  with pytest.raises(ValueError, match='^a: shape'):
    validation.weighted(x, [1.0], 'a')


@pytest.mark.parametrize(
  'call,message',
  [
    (lambda: validation.array([[1.0], [2.0, 3.0]], 'p'), '^p: not an array'),
    (lambda: validation.array({'a': 1}, 'p'), '^p: not an array'),
    (lambda: validation.array('text', 'p'), '^p: not an array'),
    (lambda: validation.point_cloud([1.0, 2.0]), r'^x: shape \(2,\) is not'),
    (lambda: validation.point_cloud(np.zeros((1, 1, 1)), 'p'), '^p: shape'),
    (lambda: validation.point_cloud(np.zeros((0, 2))), '^x: shape'),
    (lambda: validation.point_cloud(np.zeros((2, 0))), '^x: shape'),
    (lambda: validation.point_cloud([[0.0, np.nan]], 'p'), '^p: .* finite'),
    (lambda: validation.point_cloud([[np.inf]], 'p'), '^p: .* finite'),
    (lambda: validation.line([[1.0, 2.0]], 'p'), '^p: 2 dimensions, not 1'),
    (lambda: validation.line([], 'p'), '^p: shape'),
    (lambda: validation.line([np.nan]), '^x: .* finite'),
    (lambda: validation.line(3.0), '^x: shape'),
    (
      lambda: validation.pair([[1.0]], [[1.0, 2.0]]),
      '^y: 2 dimensions, x has 1',
    ),
    (lambda: validation.pair([1.0], [[1.0]]), '^x: shape'),
    (lambda: validation.pair([[1.0]], [1.0]), '^y: shape'),
    (lambda: validation.weights([1.0], 2), r'^weights: shape \(1,\) for 2'),
    (lambda: validation.weights([[0.5, 0.5]], 2, 'b'), '^b: shape'),
    (lambda: validation.weights([1.5, -0.5], 2, 'b'), '^b: must be'),
    (lambda: validation.weights([np.nan, 1.0], 2, 'b'), '^b: must be'),
    (lambda: validation.weights([np.inf, 1.0], 2, 'b'), '^b: must be'),
    (lambda: validation.weights(['a', 'b'], 2, 'b'), '^b: not an array'),
  ],
)
def test_bad_arguments_are_named(call, message):
  with pytest.raises(ValueError, match=message):
    call()


def test_points_too_large_for_sums_are_refused():
  largest = validation.point_cloud([[1e300, -1e300]])
  np.testing.assert_array_equal(largest, [[1e300, -1e300]])
  with pytest.raises(ValueError, match='^x: values exceed 1e'):
    validation.point_cloud([[0.0, -1.1e300]])


def test_complex_points_and_masked_weights_are_refused():
  with pytest.raises(ValueError, match='^x: complex'):
    validation.pair([[1j]], [[1.0]])
  masked = np.ma.masked_array([0.5, 0.5], [True, False])
  with pytest.raises(ValueError, match='^w: values are masked'):
    validation.weights(masked, 2, 'w')
