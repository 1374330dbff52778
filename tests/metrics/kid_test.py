"""KID against its double sum, and around zero for one distribution."""

import fractions

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


def rational(a, b):
  """KID by its definition, without rounding."""
  a, b = ([[fractions.Fraction(v) for v in row] for row in x] for x in (a, b))

  def k(x, y):
    dot = sum(p * q for p, q in zip(x, y, strict=True))
    return (dot / len(x) + 1) ** 3

  def own(x):
    n = len(x)
    pairs = [k(x[i], x[j]) for i in range(n) for j in range(n) if i != j]
    return sum(pairs) / (n * (n - 1))

  cross = sum(k(x, y) for x in a for y in b) / (len(a) * len(b))
  return float(own(a) + own(b) - 2 * cross)


@pytest.mark.parametrize('offset', [0.0, 1e3, -1e5])
@pytest.mark.parametrize('scale', [1e-4, 1.0, 1e3])
def test_kid_keeps_its_digits_at_any_offset_and_scale(offset, scale):
  rng = np.random.default_rng(1)
  a, b = rng.normal(size=(6, 3)), rng.normal(size=(5, 3)) + 0.5
  a, b = offset + scale * a, offset + scale * b
  assert kid.kid(a, b) == pytest.approx(rational(a, b), rel=1e-9, abs=0)


def test_features_that_overflow_or_differ_in_size_are_refused():
  with pytest.raises(ValueError, match='too large'):
    kid.kid(np.full((3, 2), 1e90) * [[1.0], [2.0], [3.0]], np.ones((3, 2)))
  with pytest.raises(ValueError, match='too large'):
    kid.kid(np.full((3, 2), 1e308), np.full((3, 2), 1e308))
  with pytest.raises(ValueError, match='against'):
    kid.kid(np.ones((3, 2)), np.ones((3, 1)))


def test_kid_of_one_distribution_is_around_zero():
  rng = np.random.default_rng(0)
  values = [kid.kid(*rng.normal(size=(2, 200, 3))) for _ in range(30)]
  deviation = np.std(values) / np.sqrt(30)
  assert abs(np.mean(values)) < 4.0 * deviation
  shifted = kid.kid(rng.normal(size=(200, 3)), rng.normal(size=(200, 3)) + 1.0)
  assert shifted > 10.0 * np.std(values)


def test_bad_features_are_refused():
  good = np.zeros((4, 3))
  for bad in (
    np.zeros((1, 3)), np.zeros(3), np.full((4, 3), np.nan), good + 1j
  ):  # fmt: skip
    for pair in ((good, bad), (bad, good)):
      with pytest.raises(ValueError, match='features'):
        kid.kid(*pair)
