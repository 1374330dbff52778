"""Configurations of federated learning are checked before data are read."""

import math

import pytest

from coalesce_jax.pipeline import federated_config
from coalesce_jax.pipeline import federated_defaults


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'classes': ('a', 'b')}, 'are not the fewest and the most'),
    ({'classes': (1.5, 2.5)}, 'are not the fewest and the most'),
    ({'classes': (3, 2)}, 'are not the fewest and the most'),
    ({'concentration': math.inf}, r'concentration inf is not in \(0, 1e\+06\]'),
    ({'concentration': 0.0}, 'concentration 0.0 is not in'),
    ({'seed': -1, 'seeds': 2}, 'seed -1'),
    ({'seed': 2**31 - 1, 'seeds': 2}, 'seed 2147483648'),
  ],
)
def test_bad_settings_are_named(changes, message):
  config = federated_defaults.get_config()
  federated_config.validate(config)
  for name, value in changes.items():
    with config.ignore_type():
      config[name] = value
  with pytest.raises(ValueError, match=message):
    federated_config.validate(config)
