"""Strictness for every test: silent broadcasting is an error.

Warnings are errors too, see `setup.cfg`. Libraries that broadcast ranks, such
as ott, are called within ``jax.numpy_rank_promotion('allow')``.
"""

import os
import random

# Before anything imports jax or matplotlib.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('MPLBACKEND', 'agg')

import hypothesis  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

jax.config.update('jax_numpy_rank_promotion', 'raise')

# Compilation makes the first example slow, and a run is to equal the next.
hypothesis.settings.register_profile(
  'package', deadline=None, derandomize=True, max_examples=30, database=None
)
hypothesis.settings.load_profile('package')


@pytest.fixture(autouse=True)
def _seeded():
  """Whatever draws from the global generators draws the same each time."""
  random.seed(0)
  np.random.seed(0)
