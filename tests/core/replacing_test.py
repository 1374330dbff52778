"""Results: only what this package wrote, of the same kind, is replaced."""

import os
import struct
import zlib

import numpy as np
import pytest

from coalesce_jax.core import replacing
from coalesce_jax.data import arrays
from coalesce_jax.export import export
from coalesce_jax.models import bundle
from tests import small


def chunk(kind, data):
  whole = kind + data
  return (
    struct.pack('>I', len(data)) + whole + struct.pack('>I', zlib.crc32(whole))
  )


def png(mark=True):
  """The smallest image, by the format's specification."""
  text = chunk(b'tEXt', b'Software\0coalesce_jax') if mark else b''
  return (
    b'\x89PNG\r\n\x1a\n'
    + chunk(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0))
    + text
    + chunk(b'IDAT', zlib.compress(b'\0\0'))
    + chunk(b'IEND', b'')
  )


@pytest.fixture(scope='module', name='contents')
def _contents(tmp_path_factory):
  generator = small.drawn(small.VECTORS)
  program = export.build(generator, format='stablehlo').contents
  foreign = tmp_path_factory.mktemp('foreign') / 'a.npz'
  np.savez(foreign, images=np.zeros(3))
  return {
    'BUNDLE': bundle.encode(generator),
    'PNG': png(),
    'NPZ': replacing.npz(images=np.zeros((2, 3, 3), np.uint8)),
    'ONNX': export.build(generator, format='onnx').contents[''],
    'STABLEHLO': program[''],
    'DESCRIPTION': program['.json'],
    'a text': b'my thesis',
    'an image of others': png(mark=False),
    'arrays of others': foreign.read_bytes(),
    'safetensors of others': b'\x08' + bytes(7) + b'{"a": 1}',
    'JSON of others': b'{"a": 1}',
  }


KINDS = ['BUNDLE', 'PNG', 'NPZ', 'ONNX', 'STABLEHLO', 'DESCRIPTION']


@pytest.mark.parametrize('kind', KINDS)
def test_only_a_file_of_the_same_kind_is_replaced(tmp_path, contents, kind):
  for name, data in contents.items():
    path = tmp_path / name
    path.write_bytes(data)
    link = tmp_path / f'link to {name}'
    link.symlink_to(path)
    for target in (path, link):
      if name == kind:
        replacing.check_file(target, getattr(replacing, kind))
        continue
      with pytest.raises(ValueError) as caught:
        replacing.check_file(str(target), getattr(replacing, kind))
      text = str(caught.value)
      assert text.startswith(f'{target}: exists and is no ')
      assert text.endswith('; name another file, or remove it')
    assert path.read_bytes() == data


def test_empty_files_and_new_ones_may_be_written(tmp_path):
  (tmp_path / 'empty').touch()
  for path in (tmp_path / 'empty', tmp_path / 'new' / 'file'):
    replacing.check_file(path, replacing.BUNDLE)
  assert os.listdir(tmp_path) == ['empty']


def test_devices_and_pipes_may_be_written_to(tmp_path):
  os.mkfifo(tmp_path / 'pipe')
  for path in ('/dev/null', '/dev/stdout', tmp_path / 'pipe'):
    replacing.check_file(path, replacing.PNG)


@pytest.mark.parametrize(
  'path,match',
  [
    ('', 'is empty'),
    ('folder', 'folder: is a folder; name a file'),
    ('new/', 'new/: is a folder; name a file'),
    ('text/below', 'text/below: Not a directory; name another file'),
    ('loop', 'loop: Too many levels'),
    ('x' * 300, 'File name too long'),
  ],
)
def test_what_cannot_be_a_file_is_refused(tmp_path, monkeypatch, path, match):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'text').touch()
  (tmp_path / 'loop').symlink_to('loop')
  with pytest.raises(ValueError, match=match):
    replacing.check_file(path, replacing.PNG)
  assert sorted(os.listdir(tmp_path)) == ['folder', 'loop', 'text']


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
  # Whatever the rights of the user: reading this address of a process fails.
  (tmp_path / 'a').symlink_to('/proc/self/mem')
  with pytest.raises(ValueError, match='cannot be read'):
    replacing.check_file(tmp_path / 'a', replacing.PNG)


def test_images_go_where_there_are_only_images_of_before(tmp_path):
  folder = tmp_path / 'new'
  replacing.check_images(folder)
  folder.mkdir()
  for i in range(12):
    replacing.image_path(folder, i).write_bytes(png())
  (folder / '.hidden').touch()
  replacing.check_images(str(folder))
  replacing.remove_images(str(folder), 10)
  kept = ['.hidden', *(f'{i:06d}.png' for i in range(10))]
  assert sorted(os.listdir(folder)) == kept
  assert replacing.image_path(folder, 10**6).name == '1000000.png'


@pytest.mark.parametrize(
  'name', ['000002.png', 'a.png', '00002.png', 'notes', '000002.jpg', 'sub/']
)
def test_a_folder_that_holds_something_else_is_refused(tmp_path, name):
  replacing.image_path(tmp_path, 1).write_bytes(png())
  if name == 'sub/':
    (tmp_path / '000002.png').mkdir()
    name = '000002.png'
  else:
    (tmp_path / name).write_bytes(png(mark=name != '000002.png'))
  with pytest.raises(ValueError) as caught:
    replacing.check_images(tmp_path)
  assert str(caught.value) == (
    f'{tmp_path}: holds {name}, which is no numbered PNG image of this '
    'program; name another folder'
  )
  assert len(os.listdir(tmp_path)) == 2


def test_a_file_is_no_folder_of_images(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(ValueError, match='file: Not a directory; name another'):
    replacing.check_images(tmp_path / 'file')


def test_marked_arrays_are_read_as_others_are(tmp_path):
  images = np.arange(18, dtype=np.uint8).reshape(2, 3, 3, 1)
  (tmp_path / 'a.npz').write_bytes(replacing.npz(images=images))
  found, labels = arrays.read(tmp_path / 'a.npz')
  np.testing.assert_array_equal(found, images)
  assert labels is None
