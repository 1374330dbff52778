"""ONNX graphs of translators: the images of the networks, at any size."""

import itertools

import jax
import numpy as np
import onnx
from onnx import numpy_helper
import onnxruntime
import pytest

from coalesce_jax.export import onnx_files
from coalesce_jax.export import onnx_graphs
from coalesce_jax.export import onnx_layers
from coalesce_jax.export import onnx_padding
from coalesce_jax.export import onnx_translators
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import translation_layers
from tests import small
from tests.networks import translation_references as references

ALL = itertools.product(
  translation_layers.NORMS, translation_layers.UPSAMPLINGS
)
# 12 channels are 3 groups of 4; 2 channels would be one group.
NETWORKS = {
  f'{network} {norm} {upsampling}': (network, norm, upsampling)
  for network, (norm, upsampling) in itertools.product(('unet', 'resnet'), ALL)
}
FAST = (
  'unet instance resize', 'unet group transposed', 'unet batch transposed',
  'resnet layer transposed',
)  # fmt: skip


def spec(network, norm='instance', upsampling='transposed', **options):
  width = 12 if norm == 'group' and network == 'unet' else 4
  options = {'downs': 2} | options if network == 'unet' else {'blocks': 2}
  options = {'width': width, 'norm': norm, 'upsampling': upsampling, **options}
  return generator_lib.Spec(
    network, 0, (8, 8, 2), generator_lib.freeze(options),
    condition_shape=(8, 8, 3),
  )  # fmt: skip


def images(*shape):
  rng = np.random.default_rng(1)
  return rng.uniform(-1.0, 1.0, shape).astype(np.float32)


def expected(translator, x, multiple, least):
  """The network of XLA's convolutions on an image that NumPy pads and crops."""
  sides = np.array(x.shape[1:3])
  more = np.maximum(least, -(-sides // multiple) * multiple) - sides
  pads = [(0, 0), *((n // 2, n - n // 2) for n in more), (0, 0)]
  network = getattr(references, translator.spec.network)
  norm = dict(translator.spec.options)['norm']
  with jax.numpy_rank_promotion('allow'):
    y = network(translator.params, np.pad(x, pads, 'reflect'), norm)
  (top, left), (height, width) = more // 2, sides
  return np.asarray(y[:, top : top + height, left : left + width])


def run(translator, weights, x):
  """Images of both ways to run a program, `[2, B, H, W, D]`."""
  data = onnx_translators.model(translator, weights).SerializeToString()
  found = [onnx_files.load(data, expand=expand)(x) for expand in (False, True)]
  assert found[0].dtype == np.float32
  return np.stack(found)


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=() if name in FAST else pytest.mark.slow)
    for name in NETWORKS
  ],
)
def test_images_are_those_of_the_network(name):
  made = small.drawn(spec(*NETWORKS[name]))
  if NETWORKS[name][1] == 'none':
    # Without norms these weights saturate every pixel.
    for layer in made.params.values():
      leaf = layer.get('conv', layer)
      leaf['kernel'] = leaf['kernel'] / 2.0
  least = 8 if made.spec.network == 'resnet' else 4
  x = images(3, 5, 11, 3)
  wanted = expected(made, x, 4, least)
  assert wanted.shape == (3, 5, 11, 2) and wanted.std(0).max() > 0.02
  found = run(made, 'float32', x)
  assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize(
  'sides', [(8, 16), (2, 2), (3, 21), (37, 2), (9, 4), (2, 8)]
)
@pytest.mark.parametrize(('multiple', 'least'), [(4, 8), (64, 64), (2, 2)])
def test_images_of_any_size_are_padded_and_cropped(sides, multiple, least):
  x = images(2, *sides, 3)
  whole = [max(least, -(-n // multiple) * multiple) for n in sides]
  before = [(m - n) // 2 for m, n in zip(whole, sides, strict=True)]
  pads = [
    (low, m - n - low) for m, n, low in zip(whole, sides, before, strict=True)
  ]
  wanted = np.pad(x, [(0, 0), *pads, (0, 0)], 'reflect').transpose(0, 3, 1, 2)
  graph = onnx_layers.Graph({}, {}, None, 13, [], [], 'x')
  padded, frame = onnx_padding.pad(graph, 'x', multiple, least)
  onnx_padding.crop(graph, onnx_layers.node(graph, 'Relu', padded), frame)
  sizes = ['b', 'h', 'w', 3]
  model = onnx_layers.finish(graph, 'padding', sizes, ('y', sizes))
  model.graph.output.add(name=padded)
  session = onnxruntime.InferenceSession(model.SerializeToString())
  found, inner = session.run(['y', padded], {'x': x})
  np.testing.assert_array_equal(inner, wanted)
  np.testing.assert_array_equal(found, np.maximum(x, 0.0))


def test_a_side_of_one_pixel_does_not_end_the_process():
  made = small.drawn(spec('unet', downs=1))
  found = run(made, 'float32', images(1, 1, 6, 3))
  twice = run(made, 'float32', images(1, 1, 6, 3).repeat(2, 1))
  np.testing.assert_allclose(found, twice[:, :, :1], atol=1e-5)


@pytest.mark.parametrize(
  ('weights', 'upsampling'), [('int2', 'transposed'), ('int4', 'resize')]
)
def test_ternary_leaves_are_codes(weights, upsampling):
  made = small.drawn(spec('unet', upsampling=upsampling))
  x = images(2, 8, 4, 3)
  for granularity, sides in (('channel', 2), ('layer', 1)):
    coded = small.coded(made, granularity, sides)
    found = run(coded, weights, x)
    assert np.abs(found - expected(coded, x, 4, 4)).max() < 1e-4
  model = onnx_translators.model(coded, weights)
  kinds = {
    t.name: onnx.TensorProto.DataType.Name(t.data_type)
    for t in model.graph.initializer
  }
  assert kinds['down_0/kernel'] == weights.upper()
  assert kinds['up_norm_1/scale'] == 'FLOAT'


@pytest.mark.parametrize(
  'network', ['unet', pytest.param('resnet', marks=pytest.mark.slow)]
)
def test_kernels_are_rounded_to_bytes_by_output_channel(network):
  made = small.drawn(spec(network, upsampling='resize'))
  graph = onnx_translators.model(made, 'int8').graph
  tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
  stored = {n.input[0]: n for n in graph.node if n.op_type[:4] == 'Dequ'}
  kernels = {
    name: layer['kernel'] for name, layer in made.params.items()
    if 'kernel' in layer
  }  # fmt: skip
  assert {f'{name}/kernel' for name in kernels} == set(stored)
  for name, kernel in kernels.items():
    wanted = kernel.transpose(3, 2, 0, 1)
    codes, scale = (tensors[n] for n in stored[f'{name}/kernel'].input)
    assert codes.dtype == np.int8 and scale.shape == (len(wanted),)
    assert (np.abs(codes).max((1, 2, 3)) == 127).all()
    scale = scale.reshape(-1, 1, 1, 1)
    assert (np.abs(codes * scale - wanted) <= 0.501 * scale).all()
  rounded = made._replace(
    params={
      name: layer
      if name not in kernels
      else layer
      | {
        'kernel': (
          tensors[f'{name}/kernel']
          * tensors[stored[f'{name}/kernel'].input[1]].reshape(-1, 1, 1, 1)
        ).transpose(2, 3, 1, 0)
      }
      for name, layer in made.params.items()
    }
  )
  x = images(1, 8, 8, 3)
  multiple, least = (4, 4) if network == 'unet' else (4, 8)
  wanted = expected(rounded, x, multiple, least)
  assert np.abs(run(made, 'int8', x) - wanted).max() < 1e-4
  assert np.abs(run(made, 'float32', x) - wanted).max() > 1e-3


def test_kernels_of_transposed_convolutions_are_rounded_by_output_channel():
  made = small.drawn(spec('unet'))
  graph = onnx_translators.model(made, 'int8').graph
  tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
  (node,) = (n for n in graph.node if n.input[0] == 'up_1/conv/kernel')
  codes, scale = (tensors[name] for name in node.input)
  kernel = made.params['up_1']['conv']['kernel'].transpose(2, 3, 0, 1)
  assert codes.shape == kernel.shape and scale.shape == kernel.shape[1:2]
  assert (np.abs(codes).max((0, 2, 3)) == 127).all()


@pytest.mark.parametrize('weights', list(onnx_translators.KINDS))
def test_graphs_have_free_sizes_and_the_lowest_opset(weights):
  made = small.coded(small.drawn(spec('resnet')), 'channel', 1)
  model = onnx_translators.model(made, weights)
  (opset,) = model.opset_import
  wanted = {'int2': 25, 'int4': 21, 'float32': 17, 'int8': 17}[weights]
  assert (opset.domain, opset.version) == ('', wanted)
  ends = {
    value.name: [
      d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim
    ]
    for value in (*model.graph.input, *model.graph.output)
  }
  sizes = ['batch', 'height', 'width']
  assert ends == {'condition': [*sizes, 3], 'images': [*sizes, 2]}
  # No file of a translator is taken for one of a generator.
  assert onnx_translators.INPUT != onnx_graphs.INPUT
