"""Exports: verified, described, small, whole or not at all."""

import dataclasses
import json
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest

from coalesce_jax.core import files
from coalesce_jax.export import export
from coalesce_jax.export import onnx_files
from coalesce_jax.export import stablehlo
from coalesce_jax.methods import mixture
from coalesce_jax.models import bundle
from coalesce_jax.models import generator as generator_lib
from tests import small

SIZED = generator_lib.Spec(
  'dcgan', 64, (28, 28, 1), generator_lib.freeze({'width': 64})
)
PROVENANCE = {'dataset': 'digits', 'stage': 'ternarize'}


def made(sides=2, spec=small.IMAGES):
  spec = dataclasses.replace(
    spec, critic=None, critic_options=(), provenance=PROVENANCE
  )
  return small.coded(small.drawn(spec), 'channel', sides)


def description(path, format):
  if format == 'stablehlo':
    return json.loads(path.with_name(f'{path.name}.json').read_text())
  (entry,) = onnx.load(path).metadata_props
  assert entry.key == 'coalesce_jax'
  return json.loads(entry.value)


@pytest.mark.parametrize(
  ('format', 'weights', 'tolerance'),
  [
    ('onnx', 'int2', 1e-4),
    ('onnx', 'int4', 1e-4),
    ('onnx', 'float32', 1e-4),
    ('stablehlo', 'int2', 1e-5),
    ('stablehlo', 'float32', 1e-5),
  ],
)
def test_files_say_what_they_are(tmp_path, format, weights, tolerance):
  opset = None
  generator, path = made(), tmp_path / 'edge.bin'
  found = export.write(
    path, generator, format=format, weights=weights, source_sha256='ab'
  )
  assert path.read_bytes() == found.contents['']
  said = description(path, format)
  assert said == found.metadata
  assert said.pop('max_difference') <= tolerance
  versions = said.pop('versions')
  assert versions['jax'] == jax.__version__
  assert set(versions) > {'coalesce_jax', 'jax'}
  program = path.read_bytes()
  if format == 'onnx':
    tail = onnx_files.describe(b'', found.metadata)
    program = program.removesuffix(tail)
    assert len(program) < path.stat().st_size
    onnx.checker.check_model(onnx.load(path), full_check=True)
    opset = onnx.load(path).opset_import[0].version
    assert opset == {'int2': 25, 'int4': 21, 'float32': 17}[weights]
  assert said.pop('program_sha256') == files.digest([program])
  assert said == {
    'format_version': 1,
    'format': format,
    'network': 'dcgan',
    'options': {'width': 4},
    'latent_size': 4,
    'image_shape': [8, 8, 1],
    'value_range': [-1.0, 1.0],
    'weights': weights,
    'opset': opset,
    'ternary': generator.spec.encodings['ternary'],
    'tolerance': tolerance,
    'provenance': PROVENANCE,
    'source_sha256': 'ab',
  }


@pytest.mark.slow
@pytest.mark.parametrize('granularity', ['layer', 'channel'])
@pytest.mark.parametrize(
  'spec',
  [
    generator_lib.Spec('wgan_gp_mnist', 5, (28, 28, 1), (('width', 4),)),
    generator_lib.Spec(
      'dcgan', 5, (28, 28, 3), (('norm', 'pixel'), ('width', 4))
    ),
    generator_lib.Spec(
      'dcgan', 5, (64, 64, 3), (('norm', 'none'), ('width', 2))
    ),
    generator_lib.Spec('mlp', 5, (2,), (('hidden', (16,)),)),
  ],
)
def test_every_network_is_verified_in_both_formats(spec, granularity):
  for format in export.FORMATS:
    export.build(small.drawn(spec), format=format)
    for sides in (1, 2):
      generator = small.coded(small.drawn(spec), granularity, sides)
      found = export.build(generator, format=format)
      assert found.metadata['weights'] == 'int2'


@pytest.mark.parametrize('format', list(export.FORMATS))
def test_a_mixture_is_verified_in_both_formats(tmp_path, format):
  nodes = [small.drawn(small.PIXELS, k) for k in range(3)]
  found = export.write(
    tmp_path / 'edge.bin', mixture.mixture(nodes, (0.2, 0.3, 0.5)),
    format=format,
  )  # fmt: skip
  assert found.metadata['network'] == 'mixture'
  assert found.metadata['latent_size'] == small.PIXELS.latent_size + 3
  if format == 'onnx':
    data, _ = onnx_files.read(tmp_path / 'edge.bin')
    assert onnx_files.sample(data, 7, 0, 5).shape == (5, 8, 8, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
  'spec',
  [
    small.IMAGES,
    # Pixels in [-1, 1], for which the tolerance is meant.
    dataclasses.replace(
      small.PIXELS,
      options=generator_lib.freeze({'hidden': (16,), 'output': 'tanh'}),
    ),
  ],
)
def test_a_mixture_that_moves_latents_is_a_stablehlo_program(spec):
  made = small.mixed(spec, steps=3)
  found = export.build(made, format='stablehlo').metadata
  assert found['max_difference'] <= 1e-5 and found['opset'] is None


def test_two_bits_are_a_fourteenth_of_float32(tmp_path):
  generator = small.coded(
    small.drawn(SIZED), 'channel', 1, ('(?!out/).*kernel',)
  )
  path = tmp_path / 'edge.onnx'
  export.write(path, generator, weights='int2')
  size = path.stat().st_size
  # Without a description, which makes the comparison harder.
  assert 14 * size <= len(export.FORMATS['onnx'].encode(generator, 'float32'))
  packed = bundle.size_bytes(generator)
  assert size < 1.02 * packed
  assert len(stablehlo.encode(generator, 'int2')) < 1.07 * packed


def test_equal_generators_give_equal_files_that_name_no_folder():
  folder = os.path.dirname(export.__file__).encode()
  for chosen in export.FORMATS.values():
    first, second = (chosen.encode(made(), 'int2') for _ in range(2))
    assert first == second
    assert folder not in first and b'.py' not in first


@pytest.mark.parametrize('format', list(export.FORMATS))
@pytest.mark.parametrize(
  'change',
  [lambda x: x + 1e-3, lambda x: jnp.where(x == jnp.max(x), jnp.nan, x)],
)
def test_a_program_that_differs_is_not_kept(
  tmp_path, monkeypatch, format, change
):
  generator = small.drawn(small.IMAGES)
  chosen = export.FORMATS[format]

  def encode(given, weights):
    params = jax.tree.map(change, given.params)
    return chosen.encode(given._replace(params=params), weights)

  monkeypatch.setitem(export.FORMATS, format, chosen._replace(encode=encode))
  with pytest.raises(ValueError, match='differ from those of JAX') as caught:
    export.write(tmp_path / 'edge.bin', generator, format=format)
  assert '\n' not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_program_without_its_description_is_not_written(tmp_path):
  path = tmp_path / 'a.stablehlo'
  path.write_bytes(b'old')
  (tmp_path / 'a.stablehlo.json').mkdir()
  with pytest.raises(OSError, match='a.stablehlo.json: Is a directory'):
    export.write(path, small.drawn(small.VECTORS), format='stablehlo')
  assert path.read_bytes() == b'old'
  assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'format': 'tflite'}, "format 'tflite' is not one of"),
    ({'weights': 'int8'}, "weights 'int8' of onnx are not one of"),
    (
      {'format': 'stablehlo', 'weights': 'int4'},
      "weights 'int4' of stablehlo are not one of",
    ),
    (
      {'weights': 'int2'},
      r"no ternary leaves; it takes one of \['float32'\], or `coalesce tern",
    ),
  ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    export.build(small.drawn(small.IMAGES), **settings)


def test_nothing_is_encoded_for_what_a_format_cannot_express(monkeypatch):
  chosen = export.FORMATS['onnx']._replace(encode=None)
  monkeypatch.setitem(export.FORMATS, 'onnx', chosen)
  with pytest.raises(ValueError, match='without --refine_steps'):
    export.build(small.mixed(small.VECTORS, steps=1))
  with pytest.raises(ValueError, match=r"it takes one of \['float32'\]$"):
    export.build(small.mixed(small.VECTORS), weights='int2')


@pytest.mark.parametrize('format', list(export.FORMATS))
def test_a_generator_without_ternary_leaves_is_written_in_float32(format):
  dense = small.drawn(small.VECTORS)
  # Another encoding than the exporter knows keeps its dense values.
  half = dataclasses.replace(dense.spec, encodings={'half': {'leaves': []}})
  for generator in (dense, dense._replace(spec=half)):
    found = export.build(generator, format=format).metadata
    assert found['weights'] == 'float32' and found['ternary'] is None


def test_parameters_of_another_network_or_of_many_are_refused():
  generator = small.drawn(small.IMAGES)
  many = jax.tree.map(lambda x: np.stack([x, x]), generator.params)
  for params in (many, {'out': generator.params['out']}):
    with pytest.raises(ValueError, match='its network has'):
      export.build(generator._replace(params=params))


@pytest.mark.parametrize(
  ('format', 'package'),
  [('onnx', 'onnx'), ('onnx', 'onnxruntime'), ('stablehlo', 'flatbuffers')],
)
def test_a_missing_package_is_named_in_one_line(monkeypatch, format, package):
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(
    ValueError, match=rf"^{package} .*pip install 'coalesce_jax\[export\]'$"
  ):
    export.build(small.drawn(small.IMAGES), format=format)
