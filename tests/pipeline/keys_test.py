"""Random keys of seeds and stages: fixed, distinct, written down."""

import jax
import numpy as np

from coalesce_jax.pipeline import keys


def bits(key):
  return np.asarray(jax.random.key_data(key))


def test_keys_are_those_of_runs_made_before():
  """Another number is another stream of random numbers in every result."""
  seeds = jax.random.split(jax.random.key(7), 3)
  np.testing.assert_array_equal(bits(keys.of_seeds(7, 3)), bits(seeds))
  for s, key in enumerate(keys.of_stage(7, 3, 5)):
    wanted = jax.random.fold_in(seeds[s], 5)
    np.testing.assert_array_equal(bits(key), bits(wanted))


def test_no_two_stages_or_seeds_share_a_key():
  found = [bits(keys.of_stage(s, 4, n)) for s in (0, 1) for n in (1, 2)]
  assert len({row.tobytes() for block in found for row in block}) == 16
