"""Folders that are written whole or not at all."""

import os
import signal
import subprocess
import sys

import pytest

from coalesce_jax.core import staging
from coalesce_jax.core import write_errors


def contents(root):
  return {
    p.relative_to(root).as_posix(): p.read_bytes()
    for p in root.rglob('*')
    if p.is_file()
  }


def test_a_new_folder_appears_at_the_end_with_its_parents(tmp_path):
  out = tmp_path / 'a' / 'b'
  with staging.folder(out) as put:
    put('x.png', b'x')
    put('deep/er/y.png', b'y')
    assert not (tmp_path / 'a').exists()
  assert contents(tmp_path) == {'a/b/x.png': b'x', 'a/b/deep/er/y.png': b'y'}
  assert os.listdir(tmp_path) == ['a']
  # Others may read it as the umask says.
  umask = os.umask(0)
  os.umask(umask)
  assert out.stat().st_mode & 0o777 == 0o777 & ~umask


def test_files_of_the_same_names_are_replaced_and_others_stay(tmp_path):
  out = tmp_path / 'out'
  (out / 'deep').mkdir(parents=True)
  for name in ('old.png', 'x.png', 'deep/z.png'):
    (out / name).write_bytes(b'before')
  (tmp_path / 'far.png').write_bytes(b'before')
  (out / 'link.png').symlink_to(tmp_path / 'far.png')
  with staging.folder(out) as put:
    for name in ('x.png', 'deep/z.png', 'link.png'):
      put(name, b'after')
    assert (out / 'x.png').read_bytes() == b'before'
  assert contents(out) == {
    'old.png': b'before', 'x.png': b'after', 'deep/z.png': b'after',
    'link.png': b'after',
  }  # fmt: skip
  assert (out / 'link.png').is_symlink()
  assert (tmp_path / 'far.png').read_bytes() == b'after'
  assert not [name for name in os.listdir(out) if name.startswith('.')]


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize('there', [True, False])
def test_an_error_changes_nothing(tmp_path, error, there):
  out = tmp_path / 'out'
  if there:
    out.mkdir()
    (out / 'x.png').write_bytes(b'before')
  before = sorted(tmp_path.rglob('*')), contents(tmp_path)
  with pytest.raises(error), staging.folder(out) as put:
    put('x.png', b'after')
    raise error
  assert (sorted(tmp_path.rglob('*')), contents(tmp_path)) == before


def test_what_cannot_be_written_is_named_as_the_result(tmp_path):
  out = tmp_path / 'out'
  name = 'x' * 300
  with pytest.raises(write_errors.WriteError, match=f'out/{name}: File name'):
    with staging.folder(out) as put:
      put(name, b'')
  assert not os.listdir(tmp_path)
  (tmp_path / 'file').write_bytes(b'')
  with pytest.raises(write_errors.WriteError, match='file: '):
    with staging.folder(tmp_path / 'file'):
      pass


@pytest.mark.parametrize('there', [True, False])
def test_what_a_killed_process_left_is_removed(tmp_path, there):
  out = tmp_path / 'out'
  if there:
    out.mkdir()
  program = (
    'import os, signal, sys; from coalesce_jax.core import staging\n'
    'with staging.folder(sys.argv[1]) as put:\n'
    "  put('x.png', b'x'); os.kill(os.getpid(), signal.SIGKILL)"
  )
  killed = subprocess.run([sys.executable, '-c', program, str(out)])
  assert killed.returncode == -signal.SIGKILL
  place = out if there else tmp_path
  assert [n for n in os.listdir(place) if n.startswith('.out.')]
  # That of a process that still works stays.
  with staging.folder(out) as put:
    put('y.png', b'y')
    with staging.folder(out) as other:
      other('z.png', b'z')
    put('w.png', b'w')
  assert sorted(contents(tmp_path)) == [
    'out/w.png', 'out/y.png', 'out/z.png'
  ]  # fmt: skip
