"""Trials in processes of their own: results, faults, stops, what they share."""

import functools
import os
import time

import jax
import ml_collections
import pytest

from coalesce_jax.training import loop
from coalesce_jax.trials import trials

CACHE = 'JAX_COMPILATION_CACHE_DIR'
SETTINGS = ml_collections.ConfigDict()


def squares(workdir, config, stop):
  """A plan; children import it by name."""
  del workdir, config, stop
  return {f't{i}': functools.partial(square, i) for i in range(5)}


def square(i):
  cache = jax.config.jax_compilation_cache_dir
  return {
    'square': i * i, 'process': os.getpid(), 'cache': cache,
    'shared': cache is not None and os.path.isdir(cache),
  }  # fmt: skip


def failing(workdir, config, stop):
  return squares(workdir, config, stop) | {'bad': fail}


def fail():
  raise ValueError('no such law')


def waiting(workdir, config, stop):
  del workdir, config
  return {f't{i}': functools.partial(wait, stop) for i in range(4)}


def wait(stop):
  ends = time.monotonic() + 60.0
  while not stop():
    if time.monotonic() > ends:
      raise RuntimeError('never stopped')
    time.sleep(0.01)
  raise loop.Interrupted('as asked')


def test_children_find_the_results_of_one_process_and_share_what_they_compile(
  tmp_path, monkeypatch
):
  alone = trials.run(tmp_path / 'alone', SETTINGS, squares)
  monkeypatch.delenv(CACHE)
  found = trials.run(tmp_path / 'both', SETTINGS, squares, workers=2)
  assert list(found) == list(alone) == [f't{i}' for i in range(5)]
  for name, result in found.items():
    assert result['square'] == alone[name]['square']
    assert result['process'] != os.getpid() == alone[name]['process']
    assert result['shared']
  # One folder, which is gone; this process is as it was.
  (cache,) = {result['cache'] for result in found.values()}
  assert not os.path.exists(cache)
  assert CACHE not in os.environ
  assert jax.config.jax_compilation_cache_dir == alone['t0']['cache'] != cache


@pytest.mark.slow
def test_children_share_the_folder_of_the_environment(tmp_path, monkeypatch):
  monkeypatch.setenv(CACHE, str(tmp_path))
  found = trials.run(tmp_path / 'run', SETTINGS, squares, workers=2)
  assert {result['cache'] for result in found.values()} == {str(tmp_path)}
  assert os.environ[CACHE] == str(tmp_path)


@pytest.mark.slow
def test_a_trial_that_fails_in_a_child_is_raised_and_leaves_no_result(tmp_path):
  with pytest.raises(ValueError, match='no such law'):
    trials.run(tmp_path, SETTINGS, failing, workers=2)
  assert not (tmp_path / 'trials' / 'bad.json').exists()


def test_a_stop_reaches_the_children(tmp_path):
  began = time.monotonic()
  with pytest.raises(loop.Interrupted, match='0 of 4 trials'):
    trials.run(
      tmp_path, SETTINGS, waiting, lambda: time.monotonic() - began > 1.0, 2
    )
