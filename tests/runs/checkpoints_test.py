"""Checkpoints: exact, verified, never silently wrong."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.runs import checkpoints


def tree(value=0.0):
  return {
    'a': jnp.linspace(value, 1.0, 1000),
    'b': (jnp.int32(7), jnp.array([True, False]), ()),
    'c': jnp.arange(5, dtype=jnp.uint8),
  }


def same(a, b):
  return all(
    x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


@pytest.fixture(name='folder')
def _folder(tmp_path) -> pathlib.Path:
  return tmp_path / 'steps'


def saved(folder, *steps, keep=2):
  kept = checkpoints.open(folder, config_hash='x', keep=keep)
  for step in steps:
    kept.save(step, tree(float(step)))
  return kept


def largest(folder, step):
  files = (folder / str(step) / 'state').rglob('*')
  return max((f for f in files if f.is_file()), key=lambda f: f.stat().st_size)


def test_the_newest_step_comes_back_bit_for_bit(folder):
  kept = saved(folder, 3, 6)
  step, restored = kept.restore(tree())
  assert step == 6 and same(restored, tree(6.0))


def test_only_the_newest_steps_are_kept(folder):
  assert saved(folder, 1, 2, 3, 4).steps() == [3, 4]


def test_nothing_saved_is_nothing_restored(folder):
  assert checkpoints.open(folder, config_hash='x').restore(tree()) is None
  assert not folder.exists()


@pytest.mark.parametrize('damage', ['flip', 'truncate', 'remove', 'add'])
def test_a_damaged_step_gives_way_to_the_one_before(folder, damage):
  kept = saved(folder, 3, 6)
  file = largest(folder, 6)
  data = bytearray(file.read_bytes())
  if damage == 'flip':
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
  elif damage == 'truncate':
    file.write_bytes(bytes(data[:-1]))
  elif damage == 'remove':
    file.unlink()
  else:
    (folder / '6' / 'state' / 'more').write_bytes(b'x')
  step, restored = kept.restore(tree())
  assert step == 3 and same(restored, tree(3.0))


def test_a_step_without_a_manifest_is_removed_when_opened(folder):
  saved(folder, 3, 6)
  (folder / '6' / 'manifest.json').unlink()
  (folder / '9.tmp').mkdir()
  kept = checkpoints.open(folder, config_hash='x')
  assert sorted(p.name for p in folder.iterdir()) == ['3']
  assert kept.restore(tree())[0] == 3


def test_other_settings_or_shapes_are_refused(folder):
  saved(folder, 3)
  other = checkpoints.open(folder, config_hash='y')
  with pytest.raises(ValueError, match='other settings'):
    other.restore(tree())
  kept = checkpoints.open(folder, config_hash='x')
  with pytest.raises(ValueError, match='shapes differ'):
    kept.restore({**tree(), 'a': jnp.zeros(3)})


def test_clear_removes_the_folder(folder):
  saved(folder, 3).clear()
  assert not folder.exists()
