"""Defines the subcommands that inspect: sample, evaluate, data."""

from collections.abc import Callable, Sequence
import io
import pathlib
from typing import Any

from absl import flags
import jax
import numpy as np

from coalesce_jax.cli import common
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import files
from coalesce_jax.data import datasets
from coalesce_jax.data import images as images_lib
from coalesce_jax.export import export
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import features
from coalesce_jax.metrics import generators
from coalesce_jax.models import bundle
from coalesce_jax.models import checks
from coalesce_jax.runs import figures


def define_sample(values: Values) -> None:
  """Defines the flags of `sample`."""
  common.string(values, 'node', None, 'Bundle, or a file of `export`.')
  flags.DEFINE_enum(
    'backend', 'jax', ['jax', 'onnx'], 'What runs it: jax a bundle, onnx a '
    'file of `export --format=onnx` on one core. NumPy draws the latents of '
    'onnx: the same seed gives other images.',
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_integer('n', 64, 'Number of samples.', flag_values=values)
  flags.DEFINE_integer('seed', 0, 'Seed.', flag_values=values)
  common.string(values, 'out', None, 'A .png grid, .npz, or a folder of PNGs.')
  common.required(values, 'node', 'out')


def sample(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes samples of a bundle to a grid, an array or a folder."""
  del stop
  if not 1 <= values.n <= 1_000_000:
    raise ValueError(f'--n={values.n} is not in [1, 1000000]')
  shape, draw = (_exported if values.backend == 'onnx' else _bundle)(values)
  if len(shape) != 3:
    raise ValueError(f'{values.node}: makes no images')
  x = checks.usable_samples(draw(), values.node)
  levels = np.round((np.clip(x, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
  path = pathlib.Path(common.checked_out(values.out))
  if path.suffix == '.npz':
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=levels)
    files.write_bytes(path, buffer.getvalue())
  elif path.suffix == '.png':
    sheet = np.round(figures.tile(levels) * 255.0).astype(np.uint8)
    files.write_bytes(path, common.png(sheet))
  else:
    for i, image in enumerate(levels):
      files.write_bytes(path / f'{i:06d}.png', common.png(image))
  return {'out': values.out, 'n': values.n}


def _bundle(values: Values) -> tuple[Sequence[int], Callable[[], Any]]:
  generator = bundle.load(values.node)
  key = jax.random.key(values.seed)
  return generator.spec.image_shape, lambda: generator.sample(key, values.n)


def _exported(values: Values) -> tuple[Sequence[int], Callable[[], Any]]:
  export.require('onnx', 'onnxruntime')
  from coalesce_jax.export import onnx_files

  data, described = onnx_files.read(values.node)
  return described['image_shape'], lambda: onnx_files.sample(
    data, described['latent_size'], values.seed, values.n
  )


def define_evaluate(values: Values) -> None:
  """Defines the flags of `evaluate`."""
  common.string(values, 'node', None, 'Bundle.')
  common.string(values, 'images', None, 'Held-out real images, or a data set.')
  common.string(values, 'local', None, 'Images it was trained on, if known.')
  common.string(
    values, 'features', None,
    f'Features, one of {feature_registry.NAMES}; default by data set.',
  )  # fmt: skip
  common.string(
    values, 'labelled', None, 'Labelled images to train features on, cached.'
  )
  flags.DEFINE_integer(
    'samples',
    None,
    'Number of generated samples; default: as many as images.',
    flag_values=values,
  )
  flags.DEFINE_integer('seed', 0, 'Seed.', flag_values=values)
  common.required(values, 'node', 'images')


def evaluate(values: Values, stop: Stop) -> dict[str, Any]:
  """Evaluates a bundle against held-out real images."""
  del stop
  if values.samples is not None:
    generators.check_samples('--samples', values.samples)
  generator = checks.usable(bundle.load(values.node), values.node)
  shape = tuple(generator.spec.image_shape)
  if values.images in datasets.NAMES:
    images = datasets.load(values.images, 'test').images
  else:
    images = images_lib.load(values.images, shape).images
  local = images_lib.load(values.local, shape).images if values.local else None
  network: str | features.Features | None = values.features
  if values.labelled:
    labelled = images_lib.load(values.labelled, shape)
    if labelled.labels is None:
      raise ValueError(f'{values.labelled}: no labels; one sub-folder a class')
    network = classifier_features.cached(*labelled, datasets.cache_folder())
  scores = generators.evaluate(
    generator, images, features=network, samples=values.samples,
    local=local, seed=values.seed,
  )  # fmt: skip
  return {'node': values.node, **scores}


def define_data(values: Values) -> None:
  """Defines the flags of `data`."""
  common.string(values, 'dataset', None, f'One of {datasets.NAMES}, or a path.')
  common.string(values, 'data_dir', None, 'Folder that is searched first.')
  common.required(values, 'dataset')


def data(values: Values, stop: Stop) -> dict[str, Any]:
  """Finds, verifies and describes a data set."""
  del stop
  return datasets.summary(values.dataset, values.data_dir)
