"""Kinds of files by their first bytes and endings."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import onnx
from PIL import Image
import pytest
import safetensors.numpy

from coalesce_jax.core import file_kinds


def zipped(*names):
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w') as archive:
    for name in names:
      archive.writestr(zipfile.ZipInfo(name), b'x')
  return buffer.getvalue()


def tarred():
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode='w') as archive:
    archive.addfile(tarfile.TarInfo('a.png'))
  return buffer.getvalue()


def picture(format):
  buffer = io.BytesIO()
  Image.new('RGB', (9, 9)).save(buffer, format=format)
  return buffer.getvalue()


def array():
  buffer = io.BytesIO()
  np.save(buffer, np.zeros(3))
  return buffer.getvalue()


def program():
  graph = onnx.helper.make_graph([], 'g', [], [])
  return onnx.helper.make_model(graph).SerializeToString()


TENSORS = safetensors.numpy.save({'a': np.zeros(2, np.float32)})
POINTER = b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n'


@pytest.mark.parametrize(
  ('name', 'data', 'kind'),
  [
    *[(f'a.{f}', picture(f), 'image') for f in (
      'PNG', 'JPEG', 'GIF', 'BMP', 'TIFF', 'WEBP'
    )],
    ('bundle.safetensors', picture('PNG'), 'image'),
    ('a.zip', zipped('a.txt'), 'zip'),
    ('a', zipped('archive/data.pkl', 'archive/version'), 'torch'),
    ('a.pt', zipped('x'), 'torch'),
    ('a.PTH', pickle.dumps([1]), 'torch'),
    ('a.ckpt', b'any', 'torch'),
    ('a', pickle.dumps({'a': 1}), 'pickle'),
    ('a.pkl', b'(lp0', 'pickle'),
    ('a.npz', zipped('a.npy'), 'npz'),
    ('a', array(), 'npy'),
    ('a.h5', b'\x89HDF\r\n', 'hdf5'),
    ('a.gguf', b'GGUF\3\0\0\0', 'gguf'),
    ('a', b'\x1c\0\0\0TFL3', 'tflite'),
    ('a.tar', tarred(), 'tar'),
    ('a', tarred(), 'tar'),
    ('a.tar.gz', gzip.compress(b'', mtime=0), 'tar'),
    ('a.gz', gzip.compress(b'', mtime=0), 'gzip'),
    ('a.onnx', program(), 'onnx'),
    ('a', program(), 'onnx'),
    ('a.onnx', b'\xff\xfe', 'onnx'),
    ('a', b'ML\xefR\x01', 'stablehlo'),
    ('a.mlir', b'\x07\x93', 'stablehlo'),
    ('a.safetensors', TENSORS, 'safetensors'),
    ('a.onnx', TENSORS, 'safetensors'),
    ('a.safetensors', struct.pack('<Q', 2) + b'{}', 'safetensors'),
    ('a.safetensors', POINTER, 'lfs'),
    ('a.pt', POINTER, 'lfs'),
    ('a.safetensors', b'\n<!DOCTYPE html>\n<html>', 'html'),
    ('a.onnx', b'<html lang="en">', 'html'),
    ('a.safetensors', b'', 'empty'),
    ('a.txt', 'zw\u00f6lf\n'.encode(), 'text'),
    ('a.json', json.dumps({'a': 1}).encode(), 'text'),
    ('a', b'\x07\x93\x00', 'unknown'),
    ('a', b'abc\0', 'unknown'),
  ],
)  # fmt: skip
def test_files_are_known_by_first_bytes_and_endings(tmp_path, name, data, kind):
  (tmp_path / name).write_bytes(data)
  assert file_kinds.of(tmp_path / name) == kind
  assert kind in file_kinds.NAMES


def test_a_text_that_is_cut_within_a_character_is_a_text(tmp_path):
  (tmp_path / 'a').write_text('a' + '\u00f6' * file_kinds.HEAD)
  assert file_kinds.of(tmp_path / 'a') == 'text'
