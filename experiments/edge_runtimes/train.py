"""The files, then what their runtimes cost, in turns, as trials."""

import contextlib
import functools
import pathlib
import statistics
import tempfile
from typing import Any

import numpy as np

from coalesce_jax.metrics import feature_registry
from coalesce_jax.models import bundle
from coalesce_jax.pipeline import fields
from coalesce_jax.training import loop
from coalesce_jax.trials import names as names_lib
from coalesce_jax.trials import timing
from coalesce_jax.trials import trials
from experiments.edge_runtimes import artifacts
from experiments.edge_runtimes import quality
from experiments.edge_runtimes import runtimes
from experiments.edge_runtimes import tables

NAMES = ('files', 'compression', 'cold', 'quality', 'speed')


def validate(config: Any) -> None:
  """Checks every setting before anything is done.

  Raises:
    ValueError: one line with the field.
  """
  for name in config.runtimes:
    if name not in runtimes.TABLE:
      raise ValueError(f'runtime {name!r} is not one of {list(runtimes.TABLE)}')
  for part in (config.cold, config.speed):
    if part.rounds < 1:
      raise ValueError(f'rounds {part.rounds} are below 1')
  if not config.speed.seconds > 0.0:
    raise ValueError(f'speed.seconds {config.speed.seconds} are not positive')
  names_lib.sizes('speed.batches', config.speed.batches)
  runtimes.core(config.core)
  if config.features:
    feature_registry.load(config.features)
  fields.positive(config, 'samples')
  spec = artifacts.spec(config)
  if config.large:
    large = bundle.load(config.large).spec
    if (large.latent_size, large.image_shape) != (
      spec.latent_size, spec.image_shape
    ):  # fmt: skip
      raise ValueError(
        f'large {config.large}: {large.image_shape} of {large.latent_size} '
        f'latents, the node has {spec.image_shape} of {spec.latent_size}'
      )


def stages(config: Any) -> list[list[list[str]]]:
  """One task: a trial beside another would be measured too."""
  validate(config)
  return [[list(NAMES)]]


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials, by name, in the order in which they build on each other."""
  validate(config)
  folder = pathlib.Path(workdir) / 'files'
  return {
    'files': functools.partial(artifacts.write, config, folder),
    'compression': lambda: artifacts.compress(artifacts.generator(config)),
    'cold': functools.partial(cold, config, folder, stop),
    'quality': lambda: quality.measure(
      config, folder, _present(config, folder), stop
    ),
    'speed': functools.partial(speed, config, folder, stop),
  }


def cold(
  config: Any, folder: pathlib.Path, stop: trials.Stop
) -> dict[str, Any]:
  """New processes in turns: start, memory, and whether the images are right.

  Returns:
    By runtime: `cold_seconds`, `peak_mib` (to the first image) and
    `batch_peak_mib` (after the largest batch too) of every round; `difference`
    and `mean_difference` of all images from JAX's, largest and mean.

  Raises:
    RuntimeError: a process failed, imported another runtime, or its images are
      not JAX's.
    loop.Interrupted: `stop` said so.
  """
  names, core = _present(config, folder), runtimes.core(config.core)
  found: dict[str, Any] = {name: {} for name in names}
  with tempfile.TemporaryDirectory() as scratch:
    # The first round fills the machine's caches of files, and is left out.
    for _ in range(1 + config.cold.rounds):
      for name in names:
        if stop():
          raise loop.Interrupted('between two starts')
        kept = pathlib.Path(scratch) / 'images.npy'
        with runtimes.Process(name, folder, core) as process:
          said = process.ask(save=str(kept))
        measured = {
          'cold_seconds': process.cold_seconds,
          'peak_mib': process.peak_mib,
          'batch_peak_mib': said['peak_mib'],
        }
        for key, value in measured.items():
          found[name].setdefault(key, []).append(value)
        extra = set(said['modules']) - set(runtimes.TABLE[name].uses)
        if extra:
          raise RuntimeError(f'{name} imported {sorted(extra)}')
        if name != runtimes.EMPTY:
          found[name] |= compared(name, np.load(kept), folder)
  for row in found.values():
    for values in row.values():
      if isinstance(values, list):
        del values[0]
  return found


def compared(
  name: str, images: np.ndarray, folder: pathlib.Path
) -> dict[str, float]:
  """`difference` and `mean_difference` of images from JAX's.

  Raises:
    RuntimeError: another shape, or a larger difference than the runtime may
      have.
    ValueError: the images of JAX are damaged; one line.
  """
  path = folder / runtimes.IMAGES
  try:
    with open(path, 'rb') as file:
      wanted = np.load(file, allow_pickle=False)
  except (OSError, ValueError, EOFError) as error:
    raise ValueError(
      f'{path}: damaged ({str(error).splitlines()[0][:200]}); remove '
      f'{folder.parent / "trials" / "files.json"} and run the same again'
    ) from None
  if images.shape != wanted.shape:
    raise RuntimeError(f'{name} makes {images.shape}, JAX {wanted.shape}')
  difference = np.abs(images - wanted)
  largest, tolerance = difference.max(), runtimes.TABLE[name].tolerance
  allowed = 2.0 if tolerance is None else tolerance
  if not largest <= allowed:
    raise RuntimeError(
      f"{name}: images differ from JAX's by {largest:.2g}, more than "
      f'{allowed:g}'
    )
  return {
    'difference': float(largest),
    'mean_difference': float(difference.mean()),
  }


def speed(
  config: Any, folder: pathlib.Path, stop: trials.Stop
) -> dict[str, Any]:
  """Living processes in turns: seconds an image by runtime and batch.

  Returns:
    By runtime and batch, a text, the `seconds` an image in every round.
  """
  core, part = runtimes.core(config.core), config.speed
  batches = names_lib.sizes('speed.batches', part.batches)
  with contextlib.ExitStack() as stack:
    cases, images = {}, {}
    for name in _present(config, folder):
      if name == runtimes.EMPTY:
        continue
      process = stack.enter_context(runtimes.Process(name, folder, core))
      for batch in batches:
        process.seconds(batch, 1)
        each = process.seconds(batch, 3) / 3.0
        calls = max(1, round(part.seconds / each))
        cases[f'{name}:{batch}'] = functools.partial(
          process.seconds, batch, calls
        )
        images[f'{name}:{batch}'] = batch * calls
    spent = timing.interleave(cases, rounds=part.rounds, stop=stop)
  found: dict[str, Any] = {}
  for case, seconds in spent.items():
    name, batch_text = case.split(':')
    each_image = [s / images[case] for s in seconds]
    found.setdefault(name, {})[batch_text] = each_image
  return found


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Rows, and `bytes` and `cold_seconds` by runtime."""
  del config
  summary = summarise(results)
  rows = summary['rows']
  line = {
    'bytes': {row['name']: row['bytes'] for row in rows},
    'cold_seconds': {row['name']: row['cold_seconds'] for row in rows},
  }
  return trials.Report(
    summary, line, tables.write(summary), tables.figures(summary)
  )


def summarise(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
  """Rows of all runtimes: medians, and ratios to `runtimes.REFERENCE`."""
  made, starts, rates = (results[k] for k in ('files', 'cold', 'speed'))
  reference = runtimes.REFERENCE
  distances = results['quality']['frechet']
  empty = starts.get(runtimes.EMPTY, {}).get('peak_mib')
  rows = []
  for name, size in made['bytes'].items():
    start, rate = starts[name], rates.get(name, {})
    row = {
      'name': name,
      'label': runtimes.TABLE[name].label,
      'bytes': size,
      'difference': start.get('difference'),
      'mean_difference': start.get('mean_difference'),
      'frechet': distances.get(name),
      'cold_seconds': timing.median(start['cold_seconds']),
      'peak_mib': timing.median(start['peak_mib']),
      'batch_peak_mib': timing.median(start['batch_peak_mib']),
      'above_mib': None,
      'images_a_second': {
        batch: 1.0 / timing.median(each) for batch, each in rate.items()
      },
      'ratios': {},
    }
    if empty:
      row['above_mib'] = row['peak_mib'] - statistics.median(empty)
    if reference in starts and name != runtimes.EMPTY:
      base = starts[reference]
      row['ratios'] = {
        'bytes': size / made['bytes'][reference],
        'cold': timing.ratio(start['cold_seconds'], base['cold_seconds']),
        'peak': timing.ratio(start['peak_mib'], base['peak_mib']),
        **{
          f'images_{batch}': timing.ratio(rates[reference][batch], each)
          for batch, each in rate.items()
        },
      }
    rows.append(row)
  compression = results['compression']
  return {
    'rows': rows,
    'parameters': made['parameters'],
    'ternary': made['ternary'],
    'quantized': made['quantized'],
    'versions': made['versions'],
    'compression': {k: compression[k] for k in ('rows', 'entropy_bytes')},
    'measured': {
      part: {k: v for k, v in results[part].items() if k != 'seconds'}
      for part in ('cold', 'speed')
    },
  }


def _present(config: Any, folder: pathlib.Path) -> list[str]:
  """The runtimes that have their file; ValueError if there is no file."""
  if not (folder / runtimes.IMAGES).is_file():
    raise ValueError('its files are missing: run the trial `files` first')
  return [
    name for name in config.runtimes or runtimes.TABLE
    if (folder / runtimes.TABLE[name].file).exists()
    and not runtimes.missing(name)
  ]  # fmt: skip
