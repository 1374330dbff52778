"""Files: all of the bytes or the file as it was, and checksums."""

import os
import pathlib

import pytest

from coalesce_jax.core import files

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
  # Others may read it, which a temporary file does not allow.
  assert path.stat().st_mode & 0o777 == 0o644


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
