"""Sample sets of test and tuning, drawn from one data set."""

import numpy as np
import pytest

from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import defaults
from coalesce_jax.trials import setting as setting_lib

DIGITS = 'digits:overlapping'


def settings(**changes):
  return config_lib.override(defaults.get_config(), {'seeds': 2} | changes)


def test_the_tuning_has_no_image_of_the_test_nor_one_twice():
  setting = setting_lib.load(DIGITS, settings(), most=20, draws=2, shuffle=7)
  tested, tuned, reference = setting.sets
  assert tested.shape == (2, 20) and tuned.shape == (3, 20)
  assert len(reference) == len(setting.problem.held_out)
  apart = np.concatenate([tuned.ravel(), reference])
  assert len(set(apart)) == len(apart) and not set(apart) & set(tested.ravel())
  # Fewer samples are the first ones of more, and others with other seeds.
  for draws in (setting.tested, setting.tuned):
    np.testing.assert_array_equal(draws(8), draws(20)[:, :8])
  np.testing.assert_array_equal(
    setting.tested(20)[1], setting.problem.target[tested[1]]
  )
  other = setting_lib.load(DIGITS, settings(), most=20, draws=2, shuffle=8)
  np.testing.assert_array_equal(other.sets.tested, tested)
  assert (other.sets.tuned != tuned).any()
  # As many images as the held-out split has, without the images of the test.
  assert setting.tuning.moments.mean.shape == (64,)
  assert np.isfinite(setting.tuning.floor)


def test_too_many_samples_are_refused_with_the_setting():
  with pytest.raises(ValueError, match='digits:overlapping: 3 draws of 500'):
    setting_lib.load(DIGITS, settings(), most=500, draws=2)


def test_without_a_tuning_the_samples_of_the_pipeline_are_tested():
  setting = setting_lib.load(DIGITS, settings(local_samples=30))
  assert setting.name == 'digits-overlapping'
  np.testing.assert_array_equal(
    setting.tested(20), setting.problem.local[:, :20]
  )
  with pytest.raises(ValueError, match='no samples to tune with'):
    setting.tuned(20)
