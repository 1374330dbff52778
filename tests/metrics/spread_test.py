"""Mean and deviation over seeds."""

import statistics

import pytest

from coalesce_jax.metrics import spread


def test_the_deviation_is_that_of_a_sample_and_zero_of_one_value():
  values = [30.0, 34.0, 41.5]
  assert spread.deviation(values) == pytest.approx(statistics.stdev(values))
  assert spread.deviation([7.0]) == 0.0


def test_texts_have_so_many_digits():
  assert spread.text([30.0, 34.0]) == '32.0 ± 2.8'
  assert spread.text([1.0], 3) == '1.000 ± 0.000'
