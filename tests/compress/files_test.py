"""Sliced networks in files: bundles, ternary leaves, ONNX, StableHLO."""

import dataclasses

import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.compress import channels
from coalesce_jax.compress import slicing
from coalesce_jax.export import onnx_files
from coalesce_jax.export import onnx_graphs
from coalesce_jax.export import onnx_translators
from coalesce_jax.export import stablehlo
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import packing
from coalesce_jax.models import translator as translator_lib
from tests import small

DCGAN = generator_lib.Spec(
  'dcgan', 4, (8, 8, 1), generator_lib.freeze({'width': 4})
)
UNET = generator_lib.Spec(
  'unet', 0, (8, 8, 2), generator_lib.freeze({'width': 2, 'downs': 2}),
  condition_shape=(8, 8, 1),
)  # fmt: skip
RESNET = dataclasses.replace(
  UNET, network='resnet',
  options=generator_lib.freeze({'width': 2, 'blocks': 1}),
)  # fmt: skip


def sliced(made):
  """A network without the first channel of every map."""
  masks = {
    group.name: np.arange(group.size) > 0
    for group in channels.groups(made.spec)
  }
  return translator_lib.create(*slicing.sliced(made.spec, made.params, masks))


def inputs(spec):
  shape = spec.condition_shape or (spec.latent_size,)
  rng = np.random.default_rng(1)
  return rng.uniform(-1.0, 1.0, (2, *shape)).astype(np.float32)


def test_a_bundle_holds_a_sliced_network(tmp_path):
  made, path = sliced(small.drawn(UNET)), tmp_path / 'a.safetensors'
  cj.save(path, made)
  found = cj.load(path)
  assert found.spec == made.spec
  assert dict(found.spec.options)['widths'] == (1, 3, 1)
  jax.tree.map(np.testing.assert_array_equal, found.params, made.params)


def test_a_longer_list_of_widths_than_the_network_has_is_refused(tmp_path):
  made, path = sliced(small.drawn(UNET)), tmp_path / 'a.safetensors'
  cj.save(path, made)
  data = path.read_bytes()
  # The same number of bytes, so that the rest of the file stays in place.
  wrong = data.replace(rb'[1, 3, 1]', rb'[1,3,1,1]')
  assert wrong != data
  path.write_bytes(wrong)
  with pytest.raises(cj.BundleError, match='list of 3'):
    cj.load(path)


@pytest.mark.parametrize('granularity', ['layer', 'channel'])
def test_ternary_leaves_stay_ternary(tmp_path, granularity):
  made = sliced(small.coded(small.drawn(DCGAN), granularity, 2))
  path = tmp_path / 'a.safetensors'
  cj.save(path, made)
  found = cj.load(path)
  assert found.spec == made.spec
  jax.tree.map(np.testing.assert_array_equal, found.params, made.params)
  kernel = made.params['up_1']['kernel']
  assert packing.pack(np.asarray(kernel), granularity, '2bit').codes.size == (
    -(-kernel.size // 4)
  )


@pytest.mark.parametrize('spec', [DCGAN, UNET, RESNET])
def test_programs_compute_the_sliced_network(spec):
  made = sliced(small.drawn(spec))
  writer = onnx_graphs if spec.condition_shape is None else onnx_translators
  x = inputs(spec)
  wanted = jax.jit(made.network.apply)(made.params, x)
  data = writer.model(made, 'float32').SerializeToString()
  np.testing.assert_allclose(onnx_files.load(data)(x), wanted, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('spec', [DCGAN, UNET])
def test_stablehlo_computes_the_sliced_network(spec):
  made = sliced(small.drawn(spec))
  x = inputs(spec)
  wanted = jax.jit(made.network.apply)(made.params, x)
  run = stablehlo.load(stablehlo.encode(made, 'float32'))
  np.testing.assert_allclose(run(x), wanted, atol=1e-5)
