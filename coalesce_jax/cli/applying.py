"""Translates pictures by a trained network: translate apply."""

from collections.abc import Callable, Sequence
import contextlib
import pathlib
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.cli import common
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import files
from coalesce_jax.core import replacing
from coalesce_jax.core import staging
from coalesce_jax.data import conditions
from coalesce_jax.data import file_kinds
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pixels
from coalesce_jax.export import export
from coalesce_jax.models import bundle
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.runs import pictures
from coalesce_jax.runs import progress
from coalesce_jax.translation import tiles

# Programs that memory holds, each of them about 20 MB.
_PROGRAMS = 16


class Model(NamedTuple):
  """What translates pictures.

  Attributes:
    channels: channels of the pictures that it takes.
    translate: ``images -> results``, `[1, H, W, C]` uint8 to floats in [-1, 1].
    program: ``(H, W) -> (H', W')``; sizes of one value share one program.
  """

  channels: int
  translate: Callable[[np.ndarray], Any]
  program: Callable[[tuple[int, int]], tuple[int, int]]


def apply(values: Values, stop: Stop) -> dict[str, Any]:
  """Translates a picture, or a folder of pictures.

  Memory holds one picture at a time, and programs for a few sizes. All pictures
  are decoded once before the first is translated, so that a damaged one is told
  at once. Results of a folder are kept aside until the last is there.
  """
  del stop
  return translated(values, lambda: _loaded(values))


def translated(values: Values, load: Callable[[], Model]) -> dict[str, Any]:
  """Translates what the flags name.

  Args:
    values: the flags `input`, `out` and `tile`.
    load: loads what translates, after the flags were checked.

  Raises:
    ValueError: a picture is damaged, or the result may not be written there.
  """
  out, many = pathlib.Path(values.out), file_kinds.is_folder(values.input)
  if many:
    outputs.folder('out', values.out)
  else:
    outputs.file('out', values.out, ('.png',))
  model = load()
  chosen = pair_settings.Settings(
    preprocess='none', condition_channels=model.channels
  )
  found = conditions.find(values.input, chosen, translator_lib.LEAST_SIDE)
  count = len(found.names)
  names = [f'{name}.png' for name in found.names] if many else [out.name]
  _check_results(out if many else out.parent, names)
  bar = progress.steps('check', count)
  for row in range(count):
    found.read(row)
    bar(row + 1)
  translate = _few_programs(model)
  bar = progress.steps('translate', count)
  with contextlib.ExitStack() as stack:
    if many:
      put = stack.enter_context(staging.folder(out))
    else:
      put = lambda _, data: files.write_bytes(values.out, data)  # noqa: E731
    for done, row in enumerate(_order(found.sizes, values.tile, model), 1):
      made = tiles.translate(found.read(row), values.tile, translate)
      put(names[row], common.png(pictures.levels(made)))
      bar(done)
  return {'out': values.out, 'pictures': count}


def _order(
  sizes: Sequence[tuple[int, int]], tile: int, model: Model
) -> list[int]:
  """Returns the rows of pictures, those of one program after each other."""

  def program(row: int) -> tuple[int, int]:
    high, wide = sizes[row]
    return model.program((min(high, tile), min(wide, tile)))

  return sorted(range(len(sizes)), key=program)


def _few_programs(model: Model) -> Callable[[np.ndarray], np.ndarray]:
  """Returns a function that translates, and forgets programs if there are many.

  JAX itself keeps thousands of them.
  """
  compiled: set[tuple[int, int]] = set()

  def translate(part: np.ndarray) -> np.ndarray:
    program = model.program((part.shape[1], part.shape[2]))
    if program not in compiled and len(compiled) == _PROGRAMS:
      jax.clear_caches()
      compiled.clear()
    compiled.add(program)
    return np.asarray(model.translate(part))

  return translate


def _check_results(folder: pathlib.Path, names: Sequence[str]) -> None:
  """Checks that results may be written to a folder.

  Args:
    folder: the folder.
    names: paths of the results within it.

  Raises:
    ValueError: files of others are there, or a result needs a folder that has
      the name of another result.
  """
  files_made = {folder / name for name in names}
  for name in names:
    path = folder / name
    if files_made.intersection(path.parents):
      raise ValueError(
        f'{files.shown(path)}: would be in a folder of the name of another '
        'result; rename the folder'
      )
    replacing.check_file(path, replacing.PNG)


def _loaded(values: Values) -> Model:
  """Loads the bundle, or the program that `export` made of one."""
  backend = values.backend
  if backend is None:
    ending = pathlib.PurePath(values.model).suffix.lower()
    backend = 'onnx' if ending == '.onnx' else 'jax'
  if backend == 'jax':
    return of_translator(load(values.model), values.model)
  export.require('onnx', 'onnxruntime')
  from coalesce_jax.export import onnx_files

  data, described = onnx_files.read(values.model, translator=True)
  channels = of_pictures(
    values.model, described['condition_shape'][-1], described['image_shape'][-1]
  )
  run = onnx_files.load(data)

  def translate(images: np.ndarray) -> np.ndarray:
    return run(np.asarray(pixels.decode(jnp.asarray(images))))

  # Nothing is compiled but the conversion of levels.
  return Model(channels, translate, lambda size: size)


def of_translator(translator: translator_lib.Translator, name: str) -> Model:
  """Returns what translates pictures by a translator.

  Args:
    translator: the translator.
    name: its file, for messages.

  Raises:
    ValueError: files of pictures cannot hold its images.
  """
  channels = of_pictures(name, *channels_of(translator))
  return Model(channels, translator.apply, translator.padded)


def of_pictures(model: str, channels: int, made: int) -> int:
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
      f'{model}: translates images of {channels} channels to {made}, '
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
