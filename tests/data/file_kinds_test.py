"""Paths of users: what each one is, and what is wanted instead."""

import gzip
import io
import os
import tarfile
import zipfile

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import file_kinds


def packed(kind):
  buffer = io.BytesIO()
  if kind == 'zip':
    with zipfile.ZipFile(buffer, 'w') as archive:
      archive.writestr(zipfile.ZipInfo('a.png'), b'')
  elif kind == 'tar':
    with tarfile.open(fileobj=buffer, mode='w') as archive:
      archive.addfile(tarfile.TarInfo('a.png'))
  elif kind == 'npy':
    np.save(buffer, np.zeros(3))
  else:
    Image.new('L', (4, 4)).save(buffer, format=kind)
  return buffer.getvalue()


@pytest.mark.parametrize(
  ('name', 'data', 'match'),
  [
    ('a.zip', packed('zip'), 'a ZIP archive; unpack it'),
    ('a', packed('tar'), 'a tar archive; unpack it'),
    (
      'a.tar.gz',
      gzip.compress(packed('tar'), mtime=0),
      'a tar archive; unpack it',
    ),
    ('a.bin', packed('npy'), 'rename it'),
    ('a', packed('PNG'), 'one image'),
    ('a.JPG', packed('JPEG'), 'one image'),
    ('a.csv', 'label,pixel\nzwölf,2\n'.encode(), 'a text file'),
    ('a.pt', packed('zip'), 'PyTorch; save its images by numpy.save'),
    ('a.pkl', b'\x80\x04', 'never loaded'),
    ('a.h5', b'\x89HDF\r\n', 'an HDF5 file'),
    ('a', b'', 'an empty file'),
    ('a.npz', b'version https://git-lfs.github.com/spec/v1', 'git lfs pull'),
    ('a.npy', b'<html>', 'a web page'),
    ('a', b'\x07\x93\x00', 'an unknown kind'),
  ],
)
def test_files_that_are_no_arrays_are_named(tmp_path, name, data, match):
  (tmp_path / name).write_bytes(data)
  assert not file_kinds.is_folder(tmp_path / name)
  with pytest.raises(ValueError, match=f'{match}.*; name a folder of PNG') as e:
    file_kinds.array_kind(tmp_path / name)
  text = str(e.value)
  assert text.startswith(f'{tmp_path / name}: ') and '\n' not in text


@pytest.mark.parametrize(
  ('name', 'data', 'kind'),
  [
    ('a.NPZ', b'', 'npz'),
    ('a.npy', b'any', 'npy'),
    ('a-ubyte', b'\0\0\x08\x01', 'idx'),
    ('a-ubyte.gz', gzip.compress(b'\0\0\x08\x01', mtime=0), 'idx'),
  ],
)
def test_arrays_are_known_by_ending_or_first_bytes(tmp_path, name, data, kind):
  (tmp_path / name).write_bytes(data)
  assert file_kinds.array_kind(tmp_path / name) == kind


@pytest.mark.parametrize(
  ('path', 'match'),
  [
    ('https://example.org/images.zip', 'a URL; download it'),
    ('s3://bucket/images', 'a URL; download it'),
    ('/nowhere/images', 'no such file or folder'),
    ('/dev/null/images', 'no such file or folder'),
    ('/dev/null', 'neither a folder nor a regular file'),
    ('a' * 300, 'aaa: not readable .File name too long'),
    ('a\0b', r'a\\x00b: not readable .embedded null'),
  ],
)
def test_paths_that_lead_nowhere_are_refused(path, match):
  with pytest.raises(ValueError, match=match):
    file_kinds.is_folder(path)


def test_a_link_to_itself_is_not_readable(tmp_path):
  (tmp_path / 'a').symlink_to('a')
  with pytest.raises(ValueError, match='not readable'):
    file_kinds.is_folder(tmp_path / 'a')


def test_a_folder_is_a_folder_and_no_array(tmp_path):
  assert file_kinds.is_folder(tmp_path)
  with pytest.raises(ValueError, match='not readable .Is a directory'):
    file_kinds.array_kind(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_closed_file_is_refused(tmp_path):
  (tmp_path / 'a.npz').touch(mode=0)
  with pytest.raises(ValueError, match='not readable .Permission denied'):
    file_kinds.array_kind(tmp_path / 'a.npz')
