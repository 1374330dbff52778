"""What is named instead of a bundle: each message says what it is."""

import io
import pickle

import numpy as np
import onnx
from PIL import Image
import pytest
import safetensors.numpy

import coalesce_jax as cj
from coalesce_jax.export import export
from coalesce_jax.models import bundle
from tests import small
from tests.models import damaged


def picture():
  buffer = io.BytesIO()
  Image.new('L', (9, 9)).save(buffer, format='PNG')
  return buffer.getvalue()


def archive():
  buffer = io.BytesIO()
  np.savez(buffer, a=np.zeros(3))
  return buffer.getvalue()


def program():
  graph = onnx.helper.make_graph([], 'g', [], [])
  return onnx.helper.make_model(graph).SerializeToString()


def field(name, value):
  """A bundle with another value in its manifest."""

  def change(header, manifest, payload):
    manifest[name] = value

  return damaged.edited(change)


DATA = bundle.encode(small.drawn(small.VECTORS))
WANTED = 'name a bundle, a .safetensors file'


@pytest.mark.parametrize(
  ('name', 'make', 'match'),
  [
    ('a.safetensors', picture, f'an image; {WANTED}'),
    ('a.png', picture, f'an image; {WANTED}'),
    ('a.onnx', lambda: export.build(small.drawn(small.VECTORS)).contents[''],
     'coalesce export. wrote; only .coalesce sample --backend=onnx. runs it'),
    ('a.onnx', program, f'an ONNX program, which no bundle .*; {WANTED}'),
    ('a.stablehlo', lambda: b'\x07\x93', f'a StableHLO program.*; {WANTED}'),
    ('a.pt', lambda: b'PK', f'a file of PyTorch, which is never.*; {WANTED}'),
    ('a.pkl', lambda: pickle.dumps([1]), f'a pickle, which is n.*; {WANTED}'),
    ('a.zip', lambda: b'PK', f'a ZIP archive; unpack it, or {WANTED}'),
    ('a.npz', archive, f'an archive of NumPy arrays .*; {WANTED}'),
    ('a.safetensors', lambda: b'weights\n', f'a text file; {WANTED}'),
    ('a.safetensors', lambda: b'', f'an empty file; copy or .*, or {WANTED}'),
    ('a.safetensors', lambda: b'<!doctype html>', f'a web page.*, or {WANTED}'),
    ('a.safetensors', lambda: b'version https://git-lfs.github.com/spec/v1',
     f'a pointer of Git LFS; run .git lfs pull. .*; or {WANTED}'),
    ('a.safetensors', lambda: safetensors.numpy.save({'a': np.zeros(2)}),
     f'a safetensors file of another program .no coal.*; {WANTED}'),
    ('a.bin', lambda: b'\0' * 40, 'a file of an unknown kind .no coalesce_jax'),
    ('a.safetensors', lambda: DATA[:50], 'truncated .50 bytes, its header .*'
     f'; copy or download it again; {WANTED}'),
    ('a.safetensors', lambda: DATA[:-50], 'truncated .*copy or download it ag'),
    ('a.safetensors', lambda: b'\x93\0' * 20, f'not a safetensors.*; {WANTED}'),
    ('a.safetensors', lambda: field('format_version', 2),
     'format version 2, this program reads 1; a newer .*: update this one$'),
    ('a.safetensors', lambda: field('format_version', 0), 'reads 1$'),
    ('a.safetensors', lambda: field('network', 'stylegan'),
     "network 'stylegan' is not one of .*'dcgan', 'mixture', 'mlp', 'wgan"),
    ('a.safetensors', lambda: field('critic', 'patch'),
     "critic 'patch' is not one of .*'cones', 'dcgan', .*'wgan_gp_mnist'.$"),
  ],
)  # fmt: skip
def test_what_is_no_bundle_is_named(tmp_path, name, make, match):
  damaged.check_refused(tmp_path / name, make(), match)


def test_a_folder_names_its_bundles(tmp_path):
  folder = tmp_path / 'nodes'
  folder.mkdir()
  with pytest.raises(cj.BundleError, match=f'a folder; it holds no .*{WANTED}'):
    cj.load(folder)
  one = folder / 'node_0.safetensors'
  one.write_bytes(b'')
  with pytest.raises(cj.BundleError, match=f'folder; name its bundle: {one}$'):
    cj.load(folder)
  (folder / 'node_1.safetensors').write_bytes(b'')
  (folder / 'more.txt').write_bytes(b'')
  with pytest.raises(
    cj.BundleError, match=f'a folder; name its bundles: {one},.*/node_1.safet'
  ) as caught:
    bundle.inspect(folder)
  assert str(caught.value).endswith('/node_1.safetensors')


def test_a_folder_of_many_bundles_names_some(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for k in range(100):
    (tmp_path / f'{k:020}.safetensors').write_bytes(b'')
  with pytest.raises(cj.BundleError) as caught:
    cj.load('.')
  names, rest = str(caught.value).split('bundles: ')[1].split(' and ')
  shown = names.split(',')
  assert shown == [f'{k:020}.safetensors' for k in range(len(shown))]
  assert len(shown) > 3 and rest == f'{100 - len(shown)} more'
  assert len(str(caught.value)) < 300


def test_what_is_no_path_of_a_file_is_said(tmp_path):
  with pytest.raises(cj.BundleError, match='a URL; download it, then name a'):
    cj.load('https://example.org/a.safetensors')
  with pytest.raises(cj.BundleError, match='not a regular file; name a'):
    cj.load('/dev/null')
  with pytest.raises(cj.BundleError, match=r'a\\nb: no such file$'):
    cj.load(tmp_path / 'a\nb')
