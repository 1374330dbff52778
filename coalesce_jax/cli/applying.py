"""Translates pictures by a trained network: translate apply."""

from collections.abc import Callable
import pathlib
from typing import Any

from absl import logging
import jax.numpy as jnp
import numpy as np

from coalesce_jax.cli import common
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import files
from coalesce_jax.core import replacing
from coalesce_jax.data import file_kinds
from coalesce_jax.data import pair_files
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pixels
from coalesce_jax.export import export
from coalesce_jax.models import bundle
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.runs import pictures
from coalesce_jax.runs import progress
from coalesce_jax.training import loop
from coalesce_jax.translation import tiles


def apply(values: Values, stop: Stop) -> dict[str, Any]:
  """Translates a picture, or a folder of pictures."""
  out, many = pathlib.Path(values.out), file_kinds.is_folder(values.input)
  if many:
    outputs.folder('out', values.out)
  else:
    outputs.file('out', values.out, ('.png',))
  channels, translator = _runnable(values)
  chosen = pair_settings.Settings(
    preprocess='none', condition_channels=channels
  )
  images, names = pair_files.single(
    values.input, chosen, translator_lib.LEAST_SIDE
  )
  targets = [out / f'{name}.png' for name in names] if many else [out]
  for path in targets:
    replacing.check_file(path, replacing.PNG)
    inside = set(targets).intersection(path.parents)
    if inside:
      raise ValueError(
        f'{files.shown(path)}: would be in a folder of the name of another '
        'result; rename the folder'
      )
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
    return _of_pictures(
      values.model, *channels_of(translator)
    ), translator.apply
  export.require('onnx', 'onnxruntime')
  from coalesce_jax.export import onnx_files

  data, described = onnx_files.read(values.model, translator=True)
  channels = _of_pictures(
    values.model, described['condition_shape'][-1], described['image_shape'][-1]
  )
  run = onnx_files.load(data)

  def translate(images: np.ndarray) -> np.ndarray:
    return run(np.asarray(pixels.decode(jnp.asarray(images))))

  return channels, translate


def _of_pictures(model: str, channels: int, made: int) -> int:
  """Returns the channels of images after checking that files can hold them.

  Args:
    model: the file of the translator, for the message.
    channels: channels that it takes.
    made: channels that it makes.

  Raises:
    ValueError: files of pictures cannot hold as many.
  """
  if not {channels, made} <= {1, 3}:
    raise ValueError(
      f'--model={model}: translates images of {channels} channels to {made}, '
      'and pictures have 1 or 3; in Python, coalesce_jax.load gives a function '
      'of arrays'
    )
  return channels


def channels_of(translator: translator_lib.Translator) -> tuple[int, int]:
  """Returns the channels that a translator takes and those that it makes."""
  assert translator.spec.condition_shape is not None
  return translator.spec.condition_shape[-1], translator.spec.image_shape[-1]


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
