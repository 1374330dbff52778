"""ONNX files that are run: our own, undamaged, and nothing else."""

import json
import os

import jax
import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper
import pytest

from coalesce_jax.core import files
from coalesce_jax.export import export
from coalesce_jax.export import onnx_checks
from coalesce_jax.export import onnx_files
from coalesce_jax.models import bundle
from tests import small

GENERATOR = small.coded(small.drawn(small.IMAGES), 'channel', 2)


@pytest.fixture(scope='module', name='made')
def _made():
  return export.build(GENERATOR)


def test_what_was_written_is_read_and_run(tmp_path, made):
  path = tmp_path / 'edge.onnx'
  path.write_bytes(made.contents[''])
  data, metadata = onnx_files.read(path)
  assert data == made.contents[''] and metadata == made.metadata
  z = np.random.default_rng(3).standard_normal((70, 4), np.float32)
  expected = jax.jit(GENERATOR.network.apply)(GENERATOR.params, z)
  found = onnx_files.sample(data, 4, 3, 70)
  np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-4)


def forged(made, change):
  """A file whose graph was changed, with a digest to match."""
  model = onnx.load_model_from_string(made.contents[''])
  del model.metadata_props[:]
  metadata = dict(made.metadata)
  change(model, metadata)
  program = model.SerializeToString()
  metadata.setdefault('program_sha256', '')
  if metadata['program_sha256'] == made.metadata['program_sha256']:
    metadata['program_sha256'] = files.digest([program])
  return onnx_files.describe(program, metadata)


def test_an_honest_forgery_is_read(tmp_path, made):
  # So that the refusals below are due to the changes.
  path = tmp_path / 'edge.onnx'
  path.write_bytes(forged(made, lambda model, metadata: None))
  assert onnx_files.read(path)[1]['latent_size'] == 4


@pytest.mark.parametrize(
  ('opset', 'known'), [(13, True), (18, True), (16, False)]
)
def test_files_of_earlier_versions_are_read(tmp_path, opset, known):
  def change(model, metadata):
    del metadata['opset']
    model.opset_import[0].version = opset

  path = tmp_path / 'edge.onnx'
  path.write_bytes(forged(export.build(small.drawn(small.VECTORS)), change))
  if known:
    assert onnx_files.read(path)[1]['latent_size'] == 2
  else:
    with pytest.raises(ValueError, match='other operators'):
      onnx_files.read(path)


def flipped(made):
  """One bit of the weights."""
  data = bytearray(made.contents[''])
  model = onnx.load_model_from_string(made.contents[''])
  kernel = next(t for t in model.graph.initializer if 'kernel' in t.name)
  data[made.contents[''].index(kernel.raw_data) + 1] ^= 1
  return bytes(data)


def foreign(made):
  model = onnx.load_model_from_string(made.contents[''])
  del model.metadata_props[:]
  return model.SerializeToString()


def loop(model, metadata):
  del metadata
  body = helper.make_graph([], 'body', [], [])
  model.graph.node.append(helper.make_node('Loop', [], [], body=body))


def domain(model, metadata):
  del metadata
  model.graph.node[0].domain = 'com.example'


def subgraph(model, metadata):
  del metadata
  body = helper.make_graph([], 'body', [], [])
  model.graph.node[0].attribute.append(helper.make_attribute('body', body))


def operators(model, metadata):
  del metadata
  model.opset_import.append(helper.make_opsetid('com.microsoft', 1))


def function(model, metadata):
  del metadata
  model.functions.add(name='f', domain='')


def outside(model, metadata):
  del metadata
  tensor = model.graph.initializer[0]
  tensor.data_location = onnx.TensorProto.EXTERNAL
  tensor.external_data.add(key='location', value='/etc/passwd')


def bomb(model, metadata):
  """A value of 10^10 pixels that nothing reads."""
  del metadata
  node = next(n for n in model.graph.node if n.op_type == 'ConvTranspose')
  copy = onnx.NodeProto.FromString(node.SerializeToString())
  copy.output[0] = 'huge'
  (strides,) = (a for a in copy.attribute if a.name == 'strides')
  strides.ints[:] = [10**5, 10**5]
  model.graph.node.append(copy)


def many(model, metadata):
  del metadata
  node = helper.make_node('Relu', ['z'], ['unused'])
  for i in range(onnx_checks.MAX_NODES):
    node.output[0] = f'unused_{i}'
    model.graph.node.append(node)


def latents(model, metadata):
  del model
  metadata['latent_size'] = 5


def unshaped(model, metadata):
  del metadata
  shape = next(
    t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT64
  )
  array = numpy_helper.to_array(shape) * 3
  shape.CopyFrom(numpy_helper.from_array(array, shape.name))


def entry(key, value):
  def change(model, metadata):
    del model
    metadata[key] = value

  return change


BAD = {
  'empty': (lambda made: b'', 'an empty file; name a file of'),
  'text': (lambda made: b'\xff\xfe hello', 'no ONNX file'),
  'truncated': (lambda made: made.contents[''][:-20], 'no ONNX file'),
  'halved': (
    lambda made: made.contents[''][: len(made.contents['']) // 2],
    'no ONNX file',
  ),
  'bundle': (
    lambda made: bundle.encode(GENERATOR), 'JAX samples a bundle'
  ),
  'flipped': (flipped, 'damaged, its sha256'),
  'longer': (
    lambda made: made.contents[''] + foreign(made), 'damaged, its sha256'
  ),
  'foreign': (foreign, 'not written by'),
  'twice': (
    lambda made: made.contents[''] + onnx_files.describe(b'', made.metadata),
    'not written by',
  ),
  'description': (
    lambda made: foreign(made) + onnx_files.describe(b'', {}), 'description'
  ),
  'deep description': (
    lambda made: forged(made, entry('image_shape', '[[')), 'description'
  ),
  'version': (lambda made: forged(made, entry('format_version', 9)), 'rsion 9'),
  'shape': (lambda made: forged(made, entry('image_shape', [8, 8, 0])), 'desc'),
  'loop': (lambda made: forged(made, loop), "operator 'Loop'"),
  'domain': (lambda made: forged(made, domain), 'operator'),
  'subgraph': (lambda made: forged(made, subgraph), 'other attributes'),
  'operators': (lambda made: forged(made, operators), 'other operators'),
  'function': (lambda made: forged(made, function), 'more than a graph'),
  'outside': (lambda made: forged(made, outside), 'outside'),
  'bomb': (lambda made: forged(made, bomb), "'huge' has an unknown or"),
  'many': (lambda made: forged(made, many), 'nodes exceed'),
  'latents': (lambda made: forged(made, latents), 'inputs or outputs'),
  'unshaped': (lambda made: forged(made, unshaped), 'do not fit'),
}  # fmt: skip


@pytest.mark.parametrize('name', list(BAD))
def test_what_is_not_ours_is_refused_in_one_line(tmp_path, made, name):
  change, message = BAD[name]
  path = tmp_path / 'a.onnx'
  path.write_bytes(change(made))
  with pytest.raises(ValueError, match=message) as caught:
    onnx_files.read(path)
  text = str(caught.value)
  assert str(path) in text and '\n' not in text and len(text) < 500


def test_missing_and_large_files_are_refused(tmp_path, monkeypatch, made):
  os.mkfifo(tmp_path / 'pipe')
  for path, match in (
    (tmp_path / 'nowhere', 'no such file'),
    (tmp_path / 'pipe', 'pipe: not a regular file; name a file of'),
    (tmp_path, 'a folder; name a file of `coalesce export'),
    (f'{tmp_path}/{"a" * 300}', 'cannot be read .File name too long'),
  ):
    with pytest.raises(ValueError, match=match):
      onnx_files.read(path)
  path = tmp_path / 'a.onnx'
  path.write_bytes(made.contents[''])
  monkeypatch.setattr(onnx_files, 'MAX_BYTES', len(made.contents['']) - 1)
  with pytest.raises(ValueError, match='exceeds the limit'):
    onnx_files.read(path)


def test_a_program_that_the_runtime_does_not_take_is_one_line():
  with pytest.raises(ValueError, match='does not take the program') as caught:
    onnx_files.load(b'nothing')
  assert '\n' not in str(caught.value)


def test_the_description_is_what_other_readers_call_metadata(made):
  model = onnx.load_model_from_string(made.contents[''])
  (entry,) = model.metadata_props
  assert json.loads(entry.value) == made.metadata
