"""Images that are made once."""

import numpy as np
import pytest

from coalesce_jax.data import kept_images


@pytest.fixture
def calls(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  return []


def make(calls):
  def run():
    calls.append(1)
    return np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3), [
      'a',
      'é\n',
    ]

  return run


def test_the_second_call_reads_what_the_first_made(calls):
  first = kept_images.kept('toy', 4, make(calls))
  second = kept_images.kept('toy', 4, make(calls))
  assert len(calls) == 1 and first[1] == second[1] == ['a', 'é\n']
  np.testing.assert_array_equal(first[0], second[0])


@pytest.mark.parametrize('damage', ['cut', 'changed', 'empty', 'renamed'])
def test_damaged_images_are_made_again(calls, tmp_path, damage):
  kept_images.kept('toy', 4, make(calls))
  (path,) = tmp_path.rglob('*.npz')
  data = path.read_bytes()
  if damage == 'cut':
    path.write_bytes(data[: len(data) // 2])
  elif damage == 'empty':
    path.write_bytes(b'')
  elif damage == 'renamed':
    path.rename(path.with_name('toy-2.npz'))
  else:
    arrays = dict(np.load(path))
    arrays['images'] = arrays['images'] + np.uint8(1)
    np.savez(path, **arrays)
  images, _ = kept_images.kept(
    'toy', 4 if damage != 'renamed' else 2, make(calls)
  )
  assert len(calls) == 2 and images[0, 0, 0].tolist() == [0, 1, 2]


def test_a_failure_leaves_nothing(calls, tmp_path):
  def fail():
    raise ValueError('no')

  with pytest.raises(ValueError, match='no'):
    kept_images.kept('toy', 4, fail)
  assert not list(tmp_path.rglob('*.npz'))
