"""Settings of pairs: what is refused, and what needs no JAX."""

import subprocess
import sys

import pytest

from coalesce_jax.data import pair_settings


@pytest.mark.parametrize(
  'values,match',
  [
    ({'direction': 'ab'}, "direction: 'ab' is not one of AtoB, BtoA"),
    ({'preprocess': 'resize'}, 'preprocess'),
    ({'layout': 'single'}, 'layout'),
    ({'condition_channels': 2}, 'neither 1 nor 3'),
    ({'crop_size': 0}, 'crop_size: 0'),
    ({'load_size': (64,)}, 'load_size'),
    ({'load_size': 32, 'crop_size': 64}, '64 is larger than load_size 32'),
    ({'load_size': 5000}, '4096'),
  ],
)
def test_other_values_are_refused(values, match):
  with pytest.raises(ValueError, match=match):
    pair_settings.Settings(**values)


def test_sizes_and_channels_are_resolved():
  made = pair_settings.Settings(
    direction='BtoA', crop_size=(8, 16), condition_channels=1
  )
  assert made.crop == made.load == (8, 16) and made.channels == (None, 1)
  assert pair_settings.Settings(load_size=72).load == (72, 72)
  pair_settings.Settings(load_size=32, crop_size=64, preprocess='none')


def test_settings_and_names_need_no_jax():
  code = (
    'import sys; from coalesce_jax.data import pair_names, pair_settings; '
    'sys.exit("jax" in sys.modules)'
  )
  assert subprocess.run([sys.executable, '-c', code]).returncode == 0
