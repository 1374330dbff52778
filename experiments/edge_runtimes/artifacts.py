"""The generator, its files for every runtime, and how small plain ones get."""

import bz2
from collections.abc import Callable
import lzma
import math
import pathlib
from typing import Any
import zlib

from absl import logging
import jax
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.export import export
from coalesce_jax.models import bundle
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.transforms import ternary_config
from coalesce_jax.trials import recipes
from experiments.edge_runtimes import quantized
from experiments.edge_runtimes import runtimes
from experiments.speed import shapes

# The last kernel makes the image and is small.
LEAVES = ('(?!out/).*/kernel',)
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
  'plain': lambda data: data,
  'zlib': lambda data: zlib.compress(data, 9),
  'bz2': lambda data: bz2.compress(data, 9),
  'lzma': lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}


def spec(config: Any) -> generator_lib.Spec:
  """The spec of the generator.

  Raises:
    ValueError: a bundle that is none, or a network that cannot be.
  """
  if config.node:
    return bundle.load(config.node).spec
  found = shapes.Network(
    config.size, config.channels, config.width, config.latent_size
  ).spec()
  found.build()
  return generator_lib.Spec(
    found.network, found.latent_size, found.image_shape, found.options
  )


def generator(config: Any) -> generator_lib.Generator:
  """The generator, without a critic if its weights are drawn.

  Raises:
    ValueError: a bundle that is none.
  """
  if config.node:
    return bundle.load(config.node)
  drawn = spec(config)
  _, key = jax.random.split(jax.random.key(config.seed))
  return recipes.ternarize_untrained(
    generator_lib.create(drawn, drawn.build().init(key)),
    ternary_config.Ternary(leaves=LEAVES),
  )


def write(config: Any, folder: pathlib.Path) -> dict[str, Any]:
  """Writes the files of all runtimes, the latents and JAX's images of them.

  Args:
    config: see `configs/default.py`.
    folder: of the files.

  Returns:
    `bytes` by runtime, those that are left out missing; `parameters` and
    `ternary`, their numbers; `quantized`, see `quantized.dynamic`;
    `versions`.
  """
  made = generator(config)
  described = made.spec
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(config.seed)
  shape = (max(config.speed.batches), described.latent_size)
  z = rng.standard_normal(shape, np.float32)
  apply = jax.jit(made.network.apply)
  images = [np.asarray(apply(made.params, some)) for some in (z[:1], z)]
  np.save(folder / runtimes.LATENTS, z)
  np.save(folder / runtimes.IMAGES, np.concatenate(images))
  result: dict[str, Any] = {
    'bytes': {}, 'quantized': None, 'versions': runtimes.versions(),
  }  # fmt: skip
  for name in config.runtimes or runtimes.TABLE:
    runtime = runtimes.TABLE[name]
    why = ', '.join(runtimes.missing(name))
    if not why and runtime.ternary and not is_ternary(described):
      why = 'ternary weights'
    if not why and name == runtimes.LARGE and not config.large:
      why = 'generator before'
    if not why and name == 'torch' and not _is_peer(described):
      why = f'{described.network} with {dict(described.options)}'
    if why:
      logging.info('%s is left out: no %s', name, why)
      continue
    path = folder / runtime.file
    stem, _, suffix = runtime.file.partition('.')
    if name == 'torch':
      _write_torch(made, path)
    elif name == runtimes.LARGE:
      large = bundle.load(config.large)
      export.write(path, large, format='onnx', weights='float32')
    elif name == 'onnx_int8':
      result['quantized'] = quantized.dynamic(made, path)
    elif name == 'onnx_int8_static':
      quantized.static(made, path, rng)
    elif name in quantized.PRODUCTS:
      quantized.products(made, path, quantized.PRODUCTS[name])
    elif suffix == 'safetensors':
      bundle.save(path, made, critic=False)
    elif runtime.file:
      format = {'onnx': 'onnx', 'stablehlo': 'stablehlo'}[suffix]
      export.write(path, made, format=format, weights=stem)
    result['bytes'][name] = path.stat().st_size if runtime.file else 0
  sizes = {name: leaf.size for name, leaf in trees.flatten(made.params).items()}
  result['parameters'] = sum(sizes.values())
  result['ternary'] = sum(sizes[name] for name in _leaves(described))
  return result


def compress(made: generator_lib.Generator) -> dict[str, Any]:
  """Bytes of the whole generator by way of storing and compressor.

  Args:
    made: the generator.

  Returns:
    `rows`: each `stored` and the bytes by compressor; `entropy_bytes`: of the
    codes alone, by the shares of -1, 0 and 1 in each leaf. Without ternary
    weights float32 is the only row, and there are no codes.
  """
  plain = generator_lib.Spec(
    made.spec.network, made.spec.latent_size, made.spec.image_shape,
    made.spec.options,
  )  # fmt: skip
  dense = generator_lib.Generator(made.network, made.params, plain)
  stored = {'float32': bundle.encode(dense, critic=False)}
  if is_ternary(made.spec):
    stored['2 bits a weight'] = bundle.encode(made, critic=False)
    trits = bundle.encode(made, critic=False, packing='trits')
    stored['1.6 bits a weight'] = trits
  rows = [
    {'stored': name}
    | {kind: len(squeeze(data)) for kind, squeeze in COMPRESSORS.items()}
    for name, data in stored.items()
  ]
  flat = trees.flatten(made.params)
  codes = sum(entropy_bytes(np.sign(flat[name])) for name in _leaves(made.spec))
  return {'rows': rows, 'entropy_bytes': math.ceil(codes)}


def entropy_bytes(codes: Any) -> float:
  """Bytes of codes at the entropy of their own shares."""
  _, counts = np.unique(np.asarray(codes), return_counts=True)
  shares = counts / counts.sum()
  return float(counts.sum() * -(shares * np.log2(shares)).sum() / 8.0)


def is_ternary(spec: generator_lib.Spec) -> bool:
  """Whether weights of a generator are ternary."""
  return 'ternary' in spec.encodings


def _leaves(spec: generator_lib.Spec) -> list[str]:
  return spec.encodings['ternary']['leaves'] if is_ternary(spec) else []


def _is_peer(spec: generator_lib.Spec) -> bool:
  """Whether `experiments.speed.peer` has this network."""
  options = {'norm': 'layer', **dict(spec.options)}
  return (
    spec.network == 'dcgan' and 'width' in options and 'widths' not in options
    and options['norm'] == 'layer'
  )  # fmt: skip


def _write_torch(made: generator_lib.Generator, path: pathlib.Path) -> None:
  import torch  # noqa: PLC0415

  from experiments.speed import peer  # noqa: PLC0415

  size, _, channels = made.spec.image_shape
  width = dict(made.spec.options)['width']
  module = peer.Generator(
    shapes.Network(size, channels, width, made.spec.latent_size)
  )
  peer.load_generator(module, made.params)
  torch.save(module.state_dict(), path)
