"""Commands of image translation: train, apply, evaluate."""

from collections.abc import Callable, Sequence
import dataclasses
import pathlib
from typing import Any

from absl import logging
import jax
import numpy as np

from coalesce_jax.cli import common
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.cli.definitions import translation as flags
from coalesce_jax.core import files
from coalesce_jax.core import replacing
from coalesce_jax.data import pair_files
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs as pairs_lib
from coalesce_jax.data import pixels
from coalesce_jax.export import export
from coalesce_jax.models import bundle
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.runs import pictures
from coalesce_jax.runs import progress
from coalesce_jax.training import loop
from coalesce_jax.translation import methods
from coalesce_jax.translation import scores
from coalesce_jax.translation import settings
from coalesce_jax.translation import tiles

# Rows of a picture of examples.
EXAMPLES = 8


def train(values: Values, stop: Stop) -> dict[str, Any]:
  """Trains a translator on pairs, or on images of two domains."""
  outputs.file('out', values.out, outputs.BUNDLE)
  config = configured(values)
  paths = [values.out]
  if values.method == 'cyclegan':
    path = pathlib.Path(values.out)
    paths.append(str(path.with_name(f'{path.stem}_back{path.suffix}')))
    replacing.check_file(paths[1], replacing.BUNDLE)
  given = _pairs(values)
  images = methods.check(values.method, given, config)
  digest = {
    'data_sha256': files.digest([np.ascontiguousarray(x) for x in images])
  }
  with common.work(
    values, values.out, stop, digest, results=paths, images=values.data
  ) as work:
    made, _ = methods.train(
      values.method, jax.random.key(values.seed), given, config=config,
      hooks=work.hooks(None),
    )  # fmt: skip
    saved = [
      common.save(
        path, each, f'translate {values.method}', values, given[0].task
      )
      for path, each in zip(paths, made, strict=True)
    ]
    found, grid = _evaluated(made, given[1])
    _, seen = _evaluated(made, given[0], scored=False)
    folder = work.path / 'pictures'
    files.write_bytes(folder / 'held_out.png', common.png(grid))
    files.write_bytes(folder / 'training.png', common.png(seen))
    files.write_bytes(folder / 'columns.txt', _columns(made).encode())
    return {
      **saved[0],
      **({'back': saved[1]['bundle']} if len(saved) > 1 else {}),
      'workdir': str(work.path),
      'examples': str(folder / 'held_out.png'),
      **found,
    }


def configured(values: Values) -> settings.Translation:
  """Returns the settings of the method, changed by the flags.

  Raises:
    ValueError: a flag is given that the method does not have.
  """
  default = settings.default(values.method)
  for name, owners in flags.OF_METHODS.items():
    if values[name].value is not None and values.method not in owners:
      raise ValueError(
        f'--{name} is a setting of {owners[0]}, not of {values.method}'
      )
  wanted: dict[str, Any] = {
    name: values[name].value
    for name in (
      *flags.OF_METHODS,
      'gan_mode',
      'batch_size',
      'learning_rate',
    )
    if values[name].value is not None
  }
  downs = values.downs
  if downs is None:
    downs = max(1, min(8, values.crop_size.bit_length() - 1))
  given: dict[str, Any] = {
    name: values[name].value
    for name in (
      'ngf', 'ndf', 'blocks', 'norm', 'upsampling', 'dropout', 'n_layers_d',
    )
  }  # fmt: skip
  networks = settings.Networks(
    net_g=values.net_g or default.networks.net_g, downs=downs, **given
  )
  chunk = loop.chunk_of(values.steps, 25)
  every = settings.SELECT_EVERY // chunk * chunk
  schedule = dataclasses.replace(
    default.schedule, steps=values.steps, chunk=chunk, select_every=every
  )
  crops = values.preprocess in ('resize_and_crop', 'crop')
  side = values.crop_size
  return dataclasses.replace(
    default, networks=networks, schedule=schedule, flip=not values.no_flip,
    crop_size=(side, side) if crops else None, **wanted,
  )  # fmt: skip


def _pairs(values: Values) -> tuple[pairs_lib.Pairs, pairs_lib.Pairs]:
  chosen = pair_settings.Settings(
    direction=values.direction, preprocess=values.preprocess,
    load_size=values.load_size, crop_size=values.crop_size,
    layout=values.layout,
  )  # fmt: skip
  return pairs_lib.load(values.data, chosen, values.data_dir, progress.steps)


def _evaluated(
  made: Sequence[translator_lib.Translator],
  pairs: pairs_lib.Pairs,
  scored: bool = True,
) -> tuple[dict[str, Any], np.ndarray]:
  """Returns scores of images, and rows of examples, see `_columns`.

  Args:
    made: the translator, and that of the other direction if there is one.
    pairs: the images.
    scored: whether scores are wanted.
  """
  found = {}
  condition, target = pairs.condition[:EXAMPLES], pairs.target[:EXAMPLES]
  if scored:
    with progress.working(f'translating {len(pairs.condition)} images'):
      translated = np.asarray(made[0](pairs.condition))
    found = scores.score(translated, pairs.target, pairs.paired)
    shown = translated[:EXAMPLES]
  else:
    shown = np.asarray(made[0](condition))
  columns = [condition, shown]
  if len(made) > 1:
    columns.append(_applied(made[1], shown))
  columns.append(target)
  if len(made) > 1 and condition.shape[-1] == target.shape[-1]:
    columns.append(np.asarray(made[0](target)))
  return found, pictures.columns(columns)


def _applied(
  translator: translator_lib.Translator, images: np.ndarray
) -> np.ndarray:
  """Translates images that a network made, whatever their contrast."""
  return np.asarray(translator.network.apply(translator.params, images))


def _columns(made: Sequence[translator_lib.Translator]) -> str:
  names = ['input', 'output', 'target']
  if len(made) > 1:
    names = [
      'input', 'output', 'output translated back', 'an image of the target '
      'domain', 'the same after translation',
    ]  # fmt: skip
  return f'Each row is one example. Columns: {", ".join(names)}.'


def apply(values: Values, stop: Stop) -> dict[str, Any]:
  """Translates a picture, or a folder of pictures."""
  channels, translator = _runnable(values)
  source, out = pathlib.Path(values.input), pathlib.Path(values.out)
  many = source.is_dir()
  if many:
    outputs.folder('out', values.out)
  else:
    outputs.file('out', values.out, ('.png',))
  chosen = pair_settings.Settings(
    preprocess='none', condition_channels=channels
  )
  images, names = pair_files.single(values.input, chosen)
  targets = [out / f'{name}.png' for name in names] if many else [out]
  for path in targets:
    replacing.check_file(path, replacing.PNG)
  bar = progress.steps('translate', len(images))
  for i, (image, path) in enumerate(zip(images, targets, strict=True)):
    if stop():
      raise loop.Interrupted(f'{i} of {len(images)} pictures translated')
    made = tiles.translate(
      image, values.tile, lambda part: np.asarray(translator(part))
    )
    files.write_bytes(path, common.png(pictures.levels(made)))
    bar(i + 1)
  return {'out': values.out, 'pictures': len(images)}


def _runnable(
  values: Values,
) -> tuple[int, Callable[..., Any]]:
  """Returns the channels of images, and what translates `[N, H, W, C]`."""
  backend = values.backend
  if backend is None:
    ending = pathlib.PurePath(values.model).suffix.lower()
    backend = 'onnx' if ending == '.onnx' else 'jax'
  if backend == 'jax':
    translator = load(values.model)
    assert translator.spec.condition_shape is not None
    return translator.spec.condition_shape[-1], translator.__call__
  export.require('onnx', 'onnxruntime')
  from coalesce_jax.export import onnx_files

  data, described = onnx_files.read(values.model, translator=True)
  channels, run = described['condition_shape'][-1], onnx_files.load(data)

  def translate(images: np.ndarray) -> np.ndarray:
    return run(
      np.asarray(pixels.decode(translator_lib.checked(images, channels)))
    )

  return channels, translate


def evaluate(values: Values, stop: Stop) -> dict[str, Any]:
  """Scores a translator on held-out images."""
  del stop
  if values.out:
    outputs.file('out', values.out, ('.png',))
  translator = load(values.model)
  _, held = _pairs(values)
  found, grid = _evaluated([translator], held)
  if values.out:
    files.write_bytes(values.out, common.png(grid))
  return {'model': values.model, 'data': held.task, **found}


def load(path: str) -> translator_lib.Translator:
  """Loads the bundle of a translator.

  Raises:
    ValueError: the bundle is missing or invalid, or holds a generator.
  """
  found = bundle.load(path)
  if not isinstance(found, translator_lib.Translator):
    raise ValueError(
      f'--model={path}: makes images of latents and translates none; '
      '`coalesce sample` draws them'
    )
  logging.info(
    '%s: %s from %s to %s channels', path, found.spec.network,
    (found.spec.condition_shape or (0,))[-1], found.spec.image_shape[-1],
  )  # fmt: skip
  return found
