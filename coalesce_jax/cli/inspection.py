"""Commands that inspect: sample, evaluate, data."""

from collections.abc import Callable, Sequence
import pathlib
from typing import Any

import jax
import numpy as np

from coalesce_jax.cli import common
from coalesce_jax.cli import node_data
from coalesce_jax.cli import outputs
from coalesce_jax.cli import previews
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import files
from coalesce_jax.core import replacing
from coalesce_jax.core import user_cache
from coalesce_jax.data import datasets
from coalesce_jax.data import images as images_lib
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs
from coalesce_jax.export import export
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import features
from coalesce_jax.metrics import generators
from coalesce_jax.models import checks
from coalesce_jax.runs import figures
from coalesce_jax.runs import progress

# The shape of a sample, and what draws them.
Drawn = tuple[Sequence[int], Callable[[], Any]]


def sample(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes samples of a bundle to a grid, an array or a folder."""
  del stop
  return drawn(
    values, values.node,
    lambda: (_exported if values.backend == 'onnx' else _bundle)(values),
  )  # fmt: skip


def drawn(
  values: Values, name: str, load: Callable[[], Drawn]
) -> dict[str, Any]:
  """Writes samples to where the flags say.

  Args:
    values: the flags `out` and `n`.
    name: the file of the generator, for messages.
    load: ``() -> (shape of a sample, () -> samples)``.

  Raises:
    ValueError: samples are unusable, or the result may not be written there.
  """
  path = pathlib.Path(
    outputs.file_or_folder('out', values.out, ('.png', '.npz'))
  )
  grid = path.suffix.lower() == '.png' or outputs.is_device(values.out)
  many = not grid and path.suffix.lower() != '.npz'
  if many:
    replacing.check_images(path)
  shape, draw = load()
  checks.images_only(
    tuple(shape), name, 'in Python, load(PATH).sample draws them'
  )
  with progress.working(f'drawing {values.n} samples'):
    x = checks.usable_samples(draw(), name)
  levels = np.round((np.clip(x, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
  with progress.working(f'writing {values.out}'):
    if many:
      for i, image in enumerate(levels):
        files.write_bytes(replacing.image_path(path, i), common.png(image))
      replacing.remove_images(path, len(levels))
    elif grid:
      sheet = np.round(figures.tile(levels) * 255.0).astype(np.uint8)
      files.write_bytes(path, common.png(sheet))
    else:
      files.write_bytes(path, replacing.npz(images=levels))
  return {'out': values.out, 'n': values.n}


def _bundle(values: Values) -> Drawn:
  generator = common.load('node', values.node, used=False)
  key = jax.random.key(values.seed)
  return generator.spec.image_shape, lambda: generator.sample(key, values.n)


def _exported(values: Values) -> Drawn:
  export.require('onnx', 'onnxruntime')
  from coalesce_jax.export import onnx_files

  data, described = onnx_files.read(values.node)
  return described['image_shape'], lambda: onnx_files.sample(
    data, described['latent_size'], values.seed, values.n
  )


def evaluate(values: Values, stop: Stop) -> dict[str, Any]:
  """Evaluates a bundle against held-out real images."""
  generator = common.load('node', values.node)
  shape = tuple(generator.spec.image_shape)
  checks.images_only(shape, values.node, '`evaluate` compares images')
  if values.images in datasets.NAMES:
    images = datasets.load(values.images, 'test').images
  else:
    images = images_lib.load(values.images, shape, labelled=False).images
  local = None
  if values.local:
    local = images_lib.load(values.local, shape, labelled=False).images
  network: str | features.Features | None = values.features
  if values.labelled:
    labelled = images_lib.load(values.labelled, shape)
    if labelled.labels is None:
      raise ValueError(f'{values.labelled}: no labels; one sub-folder a class')
    network = classifier_features.cached(
      *labelled, user_cache.folder(), progress.hooks('feature network', stop)
    )
  with progress.working(f'evaluating {values.node}'):
    scores = generators.evaluate(
      generator, images, features=network, samples=values.samples,
      local=local, seed=values.seed,
    )  # fmt: skip
  return {'node': values.node, **scores}


def data(values: Values, stop: Stop) -> dict[str, Any]:
  """Finds, verifies and describes a data set or image pairs."""
  del stop
  if values.preview:
    outputs.file('preview', values.preview, ('.png',))
  if values.layout or pairs.are_in(values.dataset):
    return _pairs(values)
  # Read as `pretrain` reads them by default.
  wanted = node_data.wanted(values, 'dcgan')
  row = datasets.summary(values.dataset, values.data_dir, wanted)
  if values.preview:
    train = datasets.load(values.dataset, 'train', values.data_dir, wanted)
    _write_sheet(values.preview, previews.spread(train.images, 64))
    row['preview'] = values.preview
  return row


def _pairs(values: Values) -> dict[str, Any]:
  """Describes image pairs at the size of `--image_size`.

  By default it is 64, and for derived pairs that of the images.
  """
  wanted = node_data.wanted(values, 'dcgan')
  own = ':' in values.dataset and wanted.size is None
  settings = pair_settings.Settings(
    preprocess='none' if own else 'resize_and_crop',
    crop_size=wanted.size or 64, layout=values.layout,
    condition_channels=wanted.channels, target_channels=wanted.channels,
  )  # fmt: skip
  train, held = pairs.load(
    values.dataset, settings, values.data_dir, progress.steps
  )
  row = pairs.summary(train, held)
  if values.preview:
    _write_sheet(values.preview, previews.pair_cells(train, held))
    row['preview'] = values.preview
  return row


def _write_sheet(path: str, images: np.ndarray) -> None:
  sheet = np.round(figures.tile(images) * 255.0).astype(np.uint8)
  files.write_bytes(path, common.png(sheet))
