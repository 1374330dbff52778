"""Exports of translators: verified, described, whole or not at all."""

import dataclasses
import json

import jax
import numpy as np
import onnx
import pytest

from coalesce_jax.export import export
from coalesce_jax.export import onnx_files
from coalesce_jax.export import verification
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.transforms import int8
from tests import small


def drawn(network='unet', **options):
  options = {'width': 2, **options} or options
  spec = generator_lib.Spec(
    network, 0, (8, 12, 2), generator_lib.freeze(options),
    provenance={'dataset': 'pairs'}, condition_shape=(8, 12, 3),
  )  # fmt: skip
  return small.drawn(spec)


@pytest.fixture(scope='module', name='made')
def _made():
  return drawn(downs=1)


@pytest.mark.parametrize('weights', ['float32', 'int8', 'int2', 'int4'])
def test_a_file_is_verified_described_and_run(tmp_path, made, weights):
  if weights.startswith('int') and weights != 'int8':
    made = small.coded(made, 'channel', 2)
  path = tmp_path / 'a.onnx'
  written = export.write(path, made, weights=weights, source_sha256='ab')
  data, said = onnx_files.read(path, translator=True)
  assert (
    said
    == written.metadata
    == json.loads(onnx.load(path).metadata_props[0].value)
  )
  assert said['network'] == 'unet' and said['weights'] == weights
  assert said['condition_shape'] == [8, 12, 3]
  assert said['image_shape'] == [8, 12, 2] and said['latent_size'] == 0
  assert said['sides'] == {'least': 2, 'multiple': 2, 'padded': 2}
  assert said['value_range'] == [-1.0, 1.0]
  assert said['provenance'] == {'dataset': 'pairs'}
  assert said['max_difference'] <= said['tolerance'] == 1e-4
  # A size that the verification has, so that nothing is compiled again.
  x = verification.inputs(made.spec)[1]
  apply = jax.jit(made.network.apply)
  exact = np.asarray(apply(made.params, x))
  params = made.params
  if weights == 'int8':
    params = int8.rounded(params, ('.*/kernel',))
  found = onnx_files.load(data)(x)
  assert np.abs(found - np.asarray(apply(params, x))).max() <= 1e-4
  if weights == 'int8':
    assert said['rounding_difference'] > 1e-3
    assert np.abs(found - exact).max() <= said['rounding_difference'] + 1e-4
  else:
    assert 'rounding_difference' not in said


def test_stablehlo_says_which_sides_it_takes(tmp_path, made):
  path = tmp_path / 'a.stablehlo'
  written = export.write(path, made, format='stablehlo')
  said = json.loads((tmp_path / 'a.stablehlo.json').read_text())
  assert said == written.metadata and said['opset'] is None
  assert said['sides'] == {'least': 2, 'multiple': 2, 'padded': 2}
  assert said['max_difference'] <= said['tolerance'] == 1e-5


@pytest.mark.slow
@pytest.mark.parametrize('format', list(export.FORMATS))
@pytest.mark.parametrize('norm', ['instance', 'batch'])
def test_every_network_is_verified_in_both_formats(format, norm):
  for network, options in (('unet', {'downs': 8}), ('resnet', {'blocks': 1})):
    made = drawn(network, norm=norm, **options)
    for weights in ('float32', 'int8'):
      export.build(made, format=format, weights=weights)
  assert export.build(made, format=format).metadata['weights'] == 'float32'


def test_images_for_verification_are_of_two_sizes_and_few(made):
  one, several = verification.inputs(made.spec)
  assert one.shape == (1, 8, 12, 3) and several.shape == (3, 2, 15, 3)
  assert np.abs(one).max() <= 1.0 and one.std() > 0.5
  huge = dataclasses.replace(
    made.spec, condition_shape=(2, 9999, 3), image_shape=(2, 9999, 2)
  )
  shapes = [x.shape for x in verification.inputs(huge)]
  assert shapes == [(1, 2, 256, 3), (3, 2, 259, 3)]


def test_a_program_that_differs_is_not_kept(tmp_path, monkeypatch, made):
  chosen = export.FORMATS['onnx']

  def encode(given, weights):
    params = jax.tree.map(lambda x: x + np.float32(1e-2), given.params)
    return chosen.encode(given._replace(params=params), weights)

  monkeypatch.setitem(export.FORMATS, 'onnx', chosen._replace(encode=encode))
  with pytest.raises(ValueError, match='differ from those of JAX'):
    export.write(tmp_path / 'a.onnx', made)
  assert not list(tmp_path.iterdir())


def test_what_does_not_fit_is_refused(made):
  with pytest.raises(ValueError, match=r"one of \['float32', 'int8'\]$"):
    export.build(made, weights='int2')
  many = jax.tree.map(lambda x: np.stack([x, x]), made.params)
  with pytest.raises(ValueError, match='its network has'):
    export.build(made._replace(params=many))
  nothing = jax.tree.map(lambda x: np.full_like(x, np.nan), made.params)
  with pytest.raises(ValueError, match='translator: .* not finite'):
    export.build(made._replace(params=nothing))
  with pytest.raises(ValueError, match="'int8' of onnx .* images of latents$"):
    export.build(small.drawn(small.IMAGES), weights='int8')
