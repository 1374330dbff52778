"""Strictness for every test: silent broadcasting is an error.

Warnings are errors too, see `setup.cfg`. Libraries that broadcast ranks, such
as ott, are called within ``jax.numpy_rank_promotion('allow')``.
"""

import os
import random
import tempfile

# Before anything imports jax or matplotlib.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('MPLBACKEND', 'agg')
# Tests compile much and run little: loops by XLA's older emitters, not
# optimised by LLVM, compile in a quarter of the time. Programs are not split
# into parts, which cores that are all busy compile no sooner.
os.environ.setdefault(
  'XLA_FLAGS',
  '--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false '
  '--xla_cpu_parallel_codegen_split_count=1',
)
# Programs that several tests share are compiled once a session.
_CACHE = tempfile.TemporaryDirectory(prefix='coalesce-tests-')
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', _CACHE.name)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')

from absl import logging  # noqa: E402
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
  # A command sets the level for its process.
  logging.set_verbosity(logging.INFO)
