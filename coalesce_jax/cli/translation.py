"""Trains and scores networks of image translation: train, evaluate."""

from collections.abc import Sequence
import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from coalesce_jax.cli import applying
from coalesce_jax.cli import common
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.cli.definitions import translation as flags
from coalesce_jax.core import files
from coalesce_jax.core import replacing
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs as pairs_lib
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.runs import pictures
from coalesce_jax.runs import progress
from coalesce_jax.training import loop
from coalesce_jax.translation import methods
from coalesce_jax.translation import scores
from coalesce_jax.translation import settings

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
    made, _ = methods.fit(
      values.method, jax.random.key(values.seed), images, config=config,
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
      'ngf', 'ndf', 'blocks', 'norm', 'dropout', 'n_layers_d',
    )
  }  # fmt: skip
  given['upsampling'] = values.upsampling or default.networks.upsampling
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


def _pairs(
  values: Values, channels: tuple[int | None, int | None] = (None, None)
) -> tuple[pairs_lib.Pairs, pairs_lib.Pairs]:
  """Returns pairs for training, and held out.

  Args:
    values: the flags.
    channels: channels to which pictures are converted, of conditions and of
      targets. Without, or if pictures cannot have as many, they stay.
  """
  condition, target = (n if n in (1, 3) else None for n in channels)
  chosen = pair_settings.Settings(
    direction=values.direction, preprocess=values.preprocess,
    load_size=values.load_size, crop_size=values.crop_size,
    layout=values.layout, condition_channels=condition, target_channels=target,
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
      translated = np.asarray(made[0].apply(pairs.condition))
    found = scores.score(translated, pairs.target, pairs.paired)
    shown = translated[:EXAMPLES]
  else:
    shown = np.asarray(made[0].apply(condition))
  columns = [condition, shown]
  if len(made) > 1:
    columns.append(np.asarray(made[1].apply(shown)))
  columns.append(target)
  if len(made) > 1 and condition.shape[-1] == target.shape[-1]:
    columns.append(np.asarray(made[0].apply(target)))
  return found, pictures.columns(columns)


def _columns(made: Sequence[translator_lib.Translator]) -> str:
  names = ['input', 'output', 'target']
  if len(made) > 1:
    names = [
      'input', 'output', 'output translated back', 'an image of the target '
      'domain', 'the same after translation',
    ]  # fmt: skip
  return f'Each row is one example. Columns: {", ".join(names)}.'


def evaluate(values: Values, stop: Stop) -> dict[str, Any]:
  """Scores a translator on held-out images."""
  del stop
  if values.out:
    outputs.file('out', values.out, ('.png',))
  translator = applying.load(values.model)
  channels = applying.channels_of(translator)
  _, held = _pairs(values, channels)
  theirs = held.condition.shape[-1], held.target.shape[-1]
  if theirs != channels:
    raise ValueError(
      f'--data={values.data}: images of {theirs[0]} channels and targets of '
      f'{theirs[1]}, and {values.model} translates {channels[0]} to '
      f'{channels[1]}; name data like those that it was trained on'
    )
  if min(held.condition.shape[1:3]) < translator_lib.LEAST_SIDE:
    raise ValueError(
      f'--data={values.data}: images of {held.condition.shape[1]}x'
      f'{held.condition.shape[2]} pixels; at least '
      f'{translator_lib.LEAST_SIDE} a side are needed'
    )
  found, grid = _evaluated([translator], held)
  if values.out:
    files.write_bytes(values.out, common.png(grid))
  return {'model': values.model, 'data': held.task, **found}
