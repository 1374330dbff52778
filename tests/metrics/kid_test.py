"""KID against its double sum, and around zero for one distribution."""

import numpy as np
import pytest

from coalesce_jax.metrics import kid


def test_kid_equals_the_double_sum():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=(7, 4)), rng.normal(size=(5, 4)) + 1.0

  def k(x, y):
    return (x @ y / 4 + 1.0) ** 3

  own_a = np.mean([k(a[i], a[j]) for i in range(7) for j in range(7) if i != j])
  own_b = np.mean([k(b[i], b[j]) for i in range(5) for j in range(5) if i != j])
  cross = np.mean([k(x, y) for x in a for y in b])
  value = kid.kid(a, b)
  assert value == pytest.approx(own_a + own_b - 2.0 * cross)


def test_kid_of_one_distribution_is_around_zero():
  rng = np.random.default_rng(0)
  values = [kid.kid(*rng.normal(size=(2, 200, 3))) for _ in range(30)]
  deviation = np.std(values) / np.sqrt(30)
  assert abs(np.mean(values)) < 4.0 * deviation
  shifted = kid.kid(rng.normal(size=(200, 3)), rng.normal(size=(200, 3)) + 1.0)
  assert shifted > 10.0 * np.std(values)


def test_bad_features_are_refused():
  good = np.zeros((4, 3))
  for bad in (np.zeros((1, 3)), np.zeros(3), np.full((4, 3), np.nan)):
    for pair in ((good, bad), (bad, good)):
      with pytest.raises(ValueError, match='features'):
        kid.kid(*pair)
