"""Files: all of the bytes or the file as it was, and checksums."""

import contextlib
import errno
import os
import pathlib
import resource
import subprocess
import sys
import threading

import pytest

from coalesce_jax.core import files
from coalesce_jax.core import write_errors
from coalesce_jax.core.write_errors import WriteError

# The example of FIPS 180-2, appendix B.1.
ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'


def test_bytes_are_written_into_folders_that_are_made(tmp_path):
  path = tmp_path / 'a' / 'b' / 'file.bin'
  files.write_bytes(str(path), b'\x00\xffone')
  assert path.read_bytes() == b'\x00\xffone'
  files.write_bytes(path, b'two')
  assert path.read_bytes() == b'two'
  assert os.listdir(path.parent) == ['file.bin']


@contextlib.contextmanager
def umask(value):
  before = os.umask(value)
  try:
    yield
  finally:
    os.umask(before)


def mode(path):
  return path.stat().st_mode & 0o7777


@pytest.mark.parametrize('mask,expected', [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_permissions_that_the_umask_allows(
  tmp_path, mask, expected
):
  with umask(mask):
    files.write_bytes(tmp_path / 'new', b'x')
  assert mode(tmp_path / 'new') == expected


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, monkeypatch):
  path, seen, sync = tmp_path / 'file', [], os.fsync
  path.write_bytes(b'old')

  def look(descriptor):
    seen.extend(mode(p) for p in tmp_path.glob('.file.*'))
    sync(descriptor)

  monkeypatch.setattr(os, 'fsync', look)
  for kept in (0o600, 0o640, 0o666):
    path.chmod(kept)
    with umask(0o022):
      files.write_bytes(path, b'new')
    assert mode(path) == kept
  assert seen == [0o600, 0o640, 0o666]


def test_a_link_stays_and_the_file_that_it_names_is_written(tmp_path):
  (tmp_path / 'a').mkdir()
  for name in ('there', 'not there'):
    target, link = tmp_path / 'a' / name, tmp_path / f'link to {name}'
    if name == 'there':
      target.write_bytes(b'old')
    link.symlink_to(os.path.join('a', name))
    files.write_bytes(link, b'new')
    assert link.is_symlink() and target.read_bytes() == b'new'
  assert sorted(os.listdir(tmp_path / 'a')) == ['not there', 'there']
  (tmp_path / 'loop').symlink_to('loop')
  with pytest.raises(WriteError, match='loop: Too many levels'):
    files.write_bytes(tmp_path / 'loop', b'new')


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
  os.mkfifo(tmp_path / 'pipe')
  read = []
  reader = threading.Thread(
    target=lambda: read.append((tmp_path / 'pipe').read_bytes())
  )
  reader.start()
  files.write_bytes(tmp_path / 'pipe', b'through')
  reader.join()
  assert read == [b'through'] and (tmp_path / 'pipe').is_fifo()


def test_what_is_printed_later_follows_what_is_written_to_stdout(tmp_path):
  names = ['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']
  code = (
    'from coalesce_jax.core import files\n'
    f'for name in {names}: files.write_bytes(name, name.encode() + b" ")\n'
    'print("last")'
  )
  with open(tmp_path / 'out', 'wb') as file:
    subprocess.run([sys.executable, '-c', code], check=True, stdout=file)
  assert (tmp_path / 'out').read_text() == ' '.join([*names, 'last\n'])


def test_a_device_is_not_replaced(tmp_path):
  files.write_bytes('/dev/null', b'x')
  assert not os.path.isfile('/dev/null')
  with pytest.raises(WriteError) as caught:
    files.write_bytes('/dev/full', b'x')
  assert str(caught.value) == (
    '/dev/full: No space left on device; free space and run the same command '
    'again'
  )
  assert caught.value.errno == errno.ENOSPC and not os.path.isfile('/dev/full')


@contextlib.contextmanager
def limited(size):
  """A disk that takes no more of a file than so many bytes."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_breaks_off_names_the_file_and_leaves_it(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'old')
  for write in (files.write_bytes, files.append):
    with limited(1000), pytest.raises(WriteError) as caught:
      write(path, bytes(2000))
    text = str(caught.value)
    assert text.startswith(f'{path}: File too large; raise the limit')
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['file']


def test_space_is_checked_and_not_taken(tmp_path, monkeypatch):
  with limited(1000):
    for size in (0, 1000):
      files.check_space(tmp_path / 'a' / 'file', size)
    with pytest.raises(WriteError, match='file: File too large'):
      files.check_space(tmp_path / 'a' / 'file', 1001)
  assert os.listdir(tmp_path / 'a') == []

  def refuse(*args):
    raise OSError(errno.EOPNOTSUPP, 'not here')

  monkeypatch.setattr(os, 'posix_fallocate', refuse)
  files.check_space(tmp_path / 'a' / 'file', 1)
  assert os.listdir(tmp_path / 'a') == []


def test_several_files_are_written_or_none(tmp_path):
  one, two = tmp_path / 'one', tmp_path / 'a' / 'two'
  one.write_bytes(b'old')
  with (
    limited(1000),
    pytest.raises(WriteError, match='two: File too'),
  ):
    files.write_all({one: b'new', two: bytes(2000)})
  (tmp_path / 'folder').mkdir()
  with pytest.raises(WriteError, match='folder: Is a directory'):
    files.write_all({one: b'new', tmp_path / 'folder': b'new'})
  assert one.read_bytes() == b'old' and os.listdir(tmp_path / 'a') == []
  files.write_all({one: b'new', str(two): b'too'})
  assert (one.read_bytes(), two.read_bytes()) == (b'new', b'too')
  assert sorted(os.listdir(tmp_path)) == ['a', 'folder', 'one']


def test_bytes_are_appended(tmp_path):
  for _ in range(2):
    files.append(tmp_path / 'file', b'line\n')
  assert (tmp_path / 'file').read_bytes() == b'line\nline\n'


@pytest.mark.parametrize(
  'path,match',
  [
    ('folder', 'folder: Is a directory; name a file'),
    ('file/below', "file/below: .*; a part of its path is a file"),
    ('file/a/b', 'file/a/b: .*a part of its path is a file'),
    ('x' * 300, 'File name too long; name another file'),
  ],
)  # fmt: skip
def test_places_that_cannot_be_written_to_are_named(tmp_path, path, match):
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'file').write_bytes(b'')
  with pytest.raises(WriteError, match=match):
    files.write_bytes(tmp_path / path, b'x')
  assert sorted(os.listdir(tmp_path)) == ['file', 'folder']


def test_long_names_can_be_written(tmp_path):
  name = 'é' * 127
  files.write_bytes(tmp_path / name, b'x')
  assert os.listdir(tmp_path) == [name]


def test_advice_is_added_to_what_an_error_says(tmp_path):
  for path in ('/dev/full', tmp_path):
    with pytest.raises(WriteError) as caught:
      with write_errors.writing(tmp_path / 'other', ': step 3'):
        files.write_bytes(path, b'x')
    text = str(caught.value)
    assert text.startswith(f'{path}: ') and text.endswith(': step 3')
  with pytest.raises(WriteError, match='other: no reason: step 3'):
    with write_errors.writing(tmp_path / 'other', ': step 3'):
      raise OSError('no reason')


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(
  tmp_path, monkeypatch
):
  others = {
    '.a.tmp', 'a.0123456789abcdef.tmp', '.a.0123456789ABCDEF.tmp', '.a.b', 'a'
  }  # fmt: skip
  for name in (*others, '.a.0123456789abcdef.tmp'):
    (tmp_path / name).write_bytes(b'x')
  assert files.check_writable(tmp_path) == tmp_path
  assert {*os.listdir(tmp_path)} == others
  # What is being written is no leftover.
  kept, sync = [], os.fsync

  def look(descriptor):
    files.check_writable(tmp_path)
    kept.extend(tmp_path.glob('.new.*.tmp'))
    sync(descriptor)

  monkeypatch.setattr(os, 'fsync', look)
  files.write_bytes(tmp_path / 'new', b'x')
  assert len(kept) == 1 and {*os.listdir(tmp_path)} == {*others, 'new'}


def test_json_comes_back(tmp_path):
  files.write_json(tmp_path / 'a', {'b': [1, None]})
  assert files.read_json(tmp_path / 'a') == {'b': [1, None]}


@pytest.mark.parametrize(
  'data', [b'', b'{"a": ', b'[]', b'null', b'3', b'\xff', b'[' * 100_000]
)
def test_what_is_no_json_object_is_refused_in_one_line(tmp_path, data):
  (tmp_path / 'a').write_bytes(data)
  with pytest.raises(ValueError) as caught:
    files.read_json(tmp_path / 'a')
  text = str(caught.value)
  assert text.startswith(f'{tmp_path / "a"}: damaged') and '\n' not in text
  with pytest.raises(ValueError, match='cannot be read'):
    files.read_json(tmp_path / 'nowhere')


def test_all_bytes_are_on_the_disk_before_the_file_is_replaced(
  tmp_path, monkeypatch
):
  path, seen = tmp_path / 'file', []
  path.write_bytes(b'old')

  def sync(descriptor):
    names = {*os.listdir(tmp_path)} - {'file'}
    seen.append((os.fstat(descriptor).st_size, path.read_bytes(), len(names)))
    assert all(n.startswith('.file.') and n.endswith('.tmp') for n in names)

  monkeypatch.setattr(os, 'fsync', sync)
  files.write_bytes(path, b'new bytes')
  assert seen == [(9, b'old', 1)]
  assert path.read_bytes() == b'new bytes'


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'old')
  with pytest.raises(TypeError):
    files.write_bytes(path, 'text')
  assert path.read_bytes() == b'old'
  (tmp_path / 'folder' / 'full').mkdir(parents=True)
  with pytest.raises(OSError):
    files.write_bytes(tmp_path / 'folder', b'new')
  assert sorted(os.listdir(tmp_path)) == ['file', 'folder']


def test_json_is_indented_in_the_order_given(tmp_path):
  path = tmp_path / 'a.json'
  files.write_json(path, {'b': 1, 'a': [0.5, None]})
  text = '{\n  "b": 1,\n  "a": [\n    0.5,\n    null\n  ]\n}\n'
  assert path.read_bytes() == text.encode()


def test_checksums_are_those_of_the_standard(tmp_path):
  path = tmp_path / 'file'
  for data, known in ((b'', NOTHING), (b'abc', ABC)):
    path.write_bytes(data)
    assert files.sha256(path) == known
    assert files.digest([data]) == known
  # Of the whole, however it is cut.
  assert files.digest(iter([b'', b'a', memoryview(b'bc')])) == ABC
  assert files.digest([]) == NOTHING


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
  folder = tmp_path / 'a' / 'b'
  for _ in range(2):
    assert files.check_writable(str(folder)) == folder
  assert os.listdir(folder) == []


@pytest.mark.parametrize('inside', [True, False])
def test_a_folder_that_takes_no_files_is_refused_in_one_line(tmp_path, inside):
  # `/proc` is there where there is one, and takes no files of anybody.
  folder = '/proc'
  if inside:
    (tmp_path / 'file').write_text('')
    folder = tmp_path / 'file' / 'below'
  with pytest.raises(ValueError) as caught:
    files.check_writable(folder)
  assert str(caught.value).startswith(f'{folder}: not a writable folder (')
  assert '\n' not in str(caught.value) and 'None' not in str(caught.value)


def test_a_path_is_shown_in_one_line_of_text():
  assert files.shown('plain/ä b.png') == 'plain/ä b.png'
  assert files.shown(pathlib.Path('a\nb\t')) == 'a\\nb\\t'
  name = os.fsdecode(b'\xff.png')
  assert files.shown(name) == '\\udcff.png'
  assert files.shown(name).encode('utf-8')
