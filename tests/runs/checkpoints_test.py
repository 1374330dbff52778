"""Checkpoints: exact, verified, never silently wrong."""

import errno
import json
import os
import pathlib
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import write_errors
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
  found = (folder / str(step) / 'state').rglob('*')
  return max((f for f in found if f.is_file()), key=lambda f: f.stat().st_size)


def flip(file, at):
  data = bytearray(file.read_bytes())
  data[at] ^= 1
  file.write_bytes(data)


def test_the_newest_step_comes_back_bit_for_bit(folder):
  kept = saved(folder, 3, 6)
  step, restored = kept.restore(tree())
  assert step == 6 and same(restored, tree(6.0))


def test_arrays_without_values_come_back(folder):
  given = tree(1.0) | {'a0': jnp.zeros((3, 0)), 'z': jnp.zeros(0, jnp.uint8)}
  kept = checkpoints.open(folder, config_hash='x')
  kept.save(1, given)
  _, restored = kept.restore(jax.tree.map(jnp.zeros_like, given))
  assert same(restored, given)
  assert restored['a0'].shape == (3, 0)


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
  # It is gone, and the next save makes it anew.
  assert kept.steps() == [3]
  kept.save(6, tree(6.0))
  step, restored = kept.restore(tree())
  assert step == 6 and same(restored, tree(6.0))


def test_a_byte_flipped_in_any_file_is_seen(folder, tmp_path):
  kept = saved(folder, 3, 6)
  shutil.copytree(folder, tmp_path / 'copy')
  every = [f for f in (tmp_path / 'copy' / '6').rglob('*') if f.is_file()]
  assert len(every) > 4
  for copy in every:
    file = folder / copy.relative_to(tmp_path / 'copy')
    flip(file, file.stat().st_size // 2)
    assert kept.restore(tree())[0] == 3, file
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / 'copy', folder)
  assert kept.restore(tree())[0] == 6


def test_a_byte_flipped_in_a_manifest_never_changes_what_is_restored(folder):
  kept = saved(folder, 3, 6)
  file = folder / '6' / 'manifest.json'
  whole = file.read_bytes()
  found = set()
  for at in range(0, len(whole), 101):
    flip(file, at)
    step, restored = kept.restore(tree())
    assert same(restored, tree(float(step)))
    found.add(step)
    if step == 3:
      kept.save(6, tree(6.0))
    file.write_bytes(whole)
  assert 3 in found


def test_a_manifest_of_other_contents_is_damaged(folder):
  kept = saved(folder, 3)
  file = folder / '3' / 'manifest.json'
  whole = json.loads(file.read_text())
  for text in ('', '[]', '{}', '{"manifest": [], "sha256": 3}'):
    file.write_text(text)
    assert kept.restore(tree()) is None
    kept.save(3, tree(3.0))
  # The hash of the settings is as well protected as the arrays.
  whole['manifest']['config_hash'] = 'y'
  file.write_text(json.dumps(whole))
  assert kept.restore(tree()) is None and kept.steps() == []


def test_two_damaged_steps_leave_nothing(folder):
  kept = saved(folder, 3, 6)
  for step in (3, 6):
    flip(largest(folder, step), -1)
  assert kept.restore(tree()) is None and kept.steps() == []


def test_a_step_is_saved_once_unless_it_is_damaged(folder):
  kept = saved(folder, 3)
  kept.save(3, tree(9.0))
  assert same(kept.restore(tree())[1], tree(3.0))
  flip(largest(folder, 3), -1)
  kept.save(3, tree(9.0))
  assert same(kept.restore(tree())[1], tree(9.0))


def test_names_that_are_no_steps_are_passed_over(folder):
  kept = saved(folder, 3)
  for name in ('²', '03', '-1'):
    (folder / name).mkdir()
    (folder / name / 'manifest.json').write_text('{}')
  assert kept.steps() == [3]


@pytest.mark.parametrize('seen', [True, False])
def test_a_save_that_breaks_off_leaves_the_steps_before(
  folder, seen, capfd, monkeypatch
):
  kept = saved(folder, 3, 6)
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  # The disk takes no more of any file. It may be full only after the check.
  if not seen:
    monkeypatch.setattr(os, 'posix_fallocate', lambda *args: None)
  resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
  capfd.readouterr()
  try:
    with pytest.raises(write_errors.WriteError) as caught:
      kept.save(9, {**tree(9.0), 'a': jnp.arange(1000.0) ** 0.5})
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  text = str(caught.value)
  assert text.startswith(f'{folder / "9"}') and '\n' not in text
  assert ': File too large; raise the limit of file sizes' in text
  assert caught.value.errno == errno.EFBIG
  # Nothing of orbax's pages reaches a user.
  assert capfd.readouterr().err == ''
  # Threads of orbax may leave files that no manifest names.
  if seen:
    assert sorted(p.name for p in folder.iterdir()) == ['3', '6']
  assert kept.steps() == [3, 6] and kept.restore(tree())[0] == 6


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
