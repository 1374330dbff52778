"""ONNX graphs of generators, written layer by layer; see `onnx_layers`.

A graph names the lowest version of the standard operators (opset) that has the
type of its weights, and at least the one with `LayerNormalization`, so that as
many runtimes as possible read it.

Shapes: B batch, Z latent, C channels, H, W image, D dimensions of a vector, K
generators of a mixture. Feature maps are `[B, C, H, W]` within a graph.
"""

from collections.abc import Callable
import dataclasses
import math
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import onnx

from coalesce_jax.core import trees
from coalesce_jax.export import names
from coalesce_jax.export import onnx_layers as layers
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import dcgan
from coalesce_jax.networks import registry
from coalesce_jax.ops import conv


class Kind(NamedTuple):
  """Says how a graph holds weights.

  Attributes:
    type: type of the codes of ternary leaves, or None if these are float32 too.
    opset: version of the standard operators.
  """

  type: Any
  opset: int


KINDS = {
  'int2': Kind(ml_dtypes.int2, names.OPSETS['int2']),
  'int4': Kind(ml_dtypes.int4, names.OPSETS['int4']),
  'float32': Kind(None, names.OPSETS['float32']),
}
# Opsets of files that earlier versions of this package wrote.
EARLIER_OPSETS = (13, 18)
INPUT, OUTPUT, BATCH = 'z', 'images', 'batch'

Graph = layers.Graph


def check(spec: generator_lib.Spec) -> None:
  """Checks that a generator has a graph.

  Raises:
    ValueError: its network has none, or it moves latents by critics.
  """
  if spec.network == registry.MIXTURE:
    if 'critic' in dict(spec.options):
      raise ValueError(
        'this mixture moves latents by critics (--refine_steps), which no ONNX '
        'graph does: make it by `coalesce mixture` without --refine_steps, or '
        'try --format=stablehlo'
      )
  elif spec.network not in _WRITERS:
    raise ValueError(
      f'network {spec.network!r} has no ONNX graph, '
      f'{sorted([*_WRITERS, registry.MIXTURE])} have'
    )


def model(generator: generator_lib.Generator, weights: str) -> onnx.ModelProto:
  """Makes a model that the checker of ONNX accepts.

  Args:
    generator: one generator, without ensemble axes.
    weights: one of `KINDS`.

  Returns:
    A model from `z` `[B, Z]` to `images` `[B, H, W, C]` or `[B, D]`.

  Raises:
    ValueError: the network has no graph, or a leaf is not ternary although the
      spec says so.
  """
  spec, kind = generator.spec, KINDS[weights]
  check(spec)
  ternary = spec.encodings['ternary'] if kind.type is not None else {}
  graph = Graph(
    params={
      name: np.asarray(value, np.float32)
      for name, value in trees.flatten(generator.params).items()
    },
    granularity={
      name: ternary['granularity'] for name in ternary.get('leaves', ())
    },
    type=kind.type,
    opset=kind.opset,
    nodes=[],
    tensors=[],
    z=INPUT,
  )
  if spec.network == registry.MIXTURE:
    _write_mixture(graph, spec)
  else:
    _write(graph, spec)
  return layers.finish(
    graph,
    spec.network,
    [BATCH, spec.latent_size],
    (OUTPUT, [BATCH, *spec.image_shape]),
  )


def _write(graph: Graph, spec: generator_lib.Spec) -> str:
  """Writes the network of a spec that is no mixture; returns its output."""
  module = registry.GENERATORS[spec.network](
    spec.image_shape, **dict(spec.options)
  )
  return _WRITERS[spec.network](graph, module)


def _write_mixture(graph: Graph, spec: generator_lib.Spec) -> str:
  """Writes K generators and the selection of one of them for each sample."""
  options = dict(spec.options)
  count, inner = options['count'], spec.latent_size - options['count']
  base = dataclasses.replace(
    spec,
    network=options['of'],
    options=generator_lib.freeze(registry.options_of('of', options)),
    latent_size=inner,
  )
  z = _columns(graph, 0, inner)
  chosen = _select(graph, _columns(graph, inner, spec.latent_size))
  axes = (0,) + (1,) * len(spec.image_shape)
  chosen = layers.reshape(graph, chosen, axes)
  total = ''
  for k in range(count):
    params = {
      name.removeprefix('nodes/'): leaf[k]
      for name, leaf in graph.params.items()
      if name.startswith('nodes/')
    }
    granularity = {
      name.removeprefix('nodes/'): value
      for name, value in graph.granularity.items()
    }
    x = _write(
      graph._replace(
        params=params, granularity=granularity, z=z, prefix=f'{k}/'
      ),
      base,
    )
    if not total:
      total = x
      continue
    index = layers.constant(graph, k, np.int64)
    own = layers.node(graph, 'Equal', chosen, index)
    total = layers.node(graph, 'Where', own, x, total)
  # A mixture of one generator has its output under this name too.
  return total


def _columns(graph: Graph, start: int, end: int) -> str:
  """Writes `[:, start:end]` of the latents."""
  start_, end_, axis = (
    layers.constant(graph, [value], np.int64) for value in (start, end, 1)
  )
  return layers.node(graph, 'Slice', graph.z, start_, end_, axis)


def _select(graph: Graph, x: str) -> str:
  """Writes the index of the generator of each sample, `[B, 1]`.

  This is `networks.mixture.select`, written with the same float32 operations.

  Args:
    graph: the graph.
    x: name of standard normal latents, `[B, K]`.
  """
  x = layers.node(graph, 'Mul', x, layers.constant(graph, math.sqrt(0.5)))
  x = layers.node(graph, 'Erf', x)
  x = layers.node(graph, 'Add', x, layers.constant(graph, 1.0))
  x = layers.node(graph, 'Mul', x, layers.constant(graph, 0.5))
  low, high = np.float32(1e-7), np.float32(1.0 - 1e-6)
  x = layers.node(
    graph, 'Clip', x, layers.constant(graph, low), layers.constant(graph, high)
  )
  for _ in range(2):
    x = layers.node(graph, 'Neg', layers.node(graph, 'Log', x))
  scores = layers.constant(graph, graph.params['scores'], name='scores')
  x = layers.node(graph, 'Add', x, scores)
  return layers.node(graph, 'ArgMax', x, axis=1, keepdims=1)


def _write_dcgan(graph: Graph, module: Any) -> str:
  base, doublings = dcgan.STAGES[module.size]
  x = layers.project(graph, (base, base))
  for i in range(doublings):
    if i:
      x = layers.double(graph, x, f'up_{i}', (1, 1))
    size = (base << i, base << i)
    x = layers.norm(graph, x, f'norm_{i}', module.norm, size)
    x = layers.node(graph, 'Relu', x)
  x = layers.double(graph, x, 'out', (1, 1))
  return layers.node(graph, 'Tanh', layers.swap(graph, x))


def _write_wgan_gp_mnist(graph: Graph, module: Any) -> str:
  del module
  x = layers.node(graph, 'Relu', layers.project(graph, (4, 4)))
  low, high = conv.same_padding((8, 8), 5, 2)[0]
  # Padding of a transposed convolution crops: one more here leaves 7 pixels.
  x = layers.double(graph, x, 'up_1', (low, high + 1))
  x = layers.node(graph, 'Relu', x)
  x = layers.double(graph, x, 'up_2', (low, high))
  x = layers.node(graph, 'Relu', x)
  x = layers.swap(graph, layers.double(graph, x, 'out', (low, high)))
  x = layers.node(graph, 'Sigmoid', x)
  x = layers.node(graph, 'Mul', x, layers.constant(graph, 2.0))
  return layers.node(graph, 'Sub', x, layers.constant(graph, 1.0))


def _write_mlp(graph: Graph, module: Any) -> str:
  x = graph.z
  for i in range(len(module.hidden)):
    x = layers.dense(graph, x, f'dense_{i}')
    operator, attributes = _ACTIVATIONS[module.activation]
    x = layers.node(graph, operator, x, **attributes)
  x = layers.dense(graph, x, 'out')
  if module.affine:
    affine = layers.dense(graph, graph.z, 'affine')
    x = layers.node(graph, 'Add', x, affine)
  if module.output == 'tanh':
    x = layers.node(graph, 'Tanh', x)
  return layers.reshape(graph, x, (0, *module.data_shape))


_WRITERS: dict[str, Callable[[Graph, Any], str]] = {
  'dcgan': _write_dcgan,
  'mlp': _write_mlp,
  'wgan_gp_mnist': _write_wgan_gp_mnist,
}
_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
  'relu': ('Relu', {}),
  'leaky_relu': ('LeakyRelu', {'alpha': 0.2}),
  'tanh': ('Tanh', {}),
}
# All operators that a graph may have.
OPERATORS = frozenset({
  'Add', 'ArgMax', 'Clip', 'ConvTranspose', 'DequantizeLinear', 'Div', 'Equal',
  'Erf', 'Expand', 'Gemm', 'LayerNormalization', 'LeakyRelu', 'Log', 'MatMul',
  'Min', 'Mul', 'Neg', 'ReduceMean', 'Relu', 'Reshape', 'Sigmoid', 'Slice',
  'Sqrt', 'Sub', 'Tanh', 'Transpose', 'Where',
})  # fmt: skip
