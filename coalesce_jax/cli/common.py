"""What several subcommands do with their flags."""

from collections.abc import Sequence
import dataclasses
import os
import pathlib
from typing import Any

from absl import logging
import numpy as np

from coalesce_jax.cli import command
from coalesce_jax.cli import outputs
from coalesce_jax.core import files
from coalesce_jax.data import images as images_lib
from coalesce_jax.data import partition
from coalesce_jax.gan import refined_source
from coalesce_jax.models import bundle
from coalesce_jax.models import checks
from coalesce_jax.models import foreign
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.runs import pictures
from coalesce_jax.runs import workdir
from coalesce_jax.training import loop

Stop = command.Stop
Values = command.Values
png = pictures.png


def configured(
  values: Values,
  config: Any,
  *,
  steps: int | None = None,
  game: dict[str, Any] | None = None,
  schedule: dict[str, Any] | None = None,
  **changes: Any,
) -> Any:
  """Returns the settings of a stage, changed by the flags.

  Args:
    values: flags of `definitions.training.training`.
    config: default settings of the stage.
    steps: generator steps; None is the flag.
    game: further changes of the game's settings.
    schedule: further changes of the schedule.
    **changes: further changes of the stage's settings.
  """
  steps = values.steps if steps is None else steps
  game_changes = {
    'batch_size': values.batch_size,
    'critic_steps': values.critic_steps,
    'generator_batches': values.generator_batches,
    'learning_rate': values.learning_rate,
    'critic_learning_rate': values.critic_learning_rate or None,
    **(game or {}),
  }
  chunk = loop.chunk_of(steps, config.schedule.chunk)
  schedule_changes = {'steps': steps, 'chunk': chunk, **(schedule or {})}
  return dataclasses.replace(
    config,
    game=dataclasses.replace(config.game, **game_changes),
    schedule=dataclasses.replace(config.schedule, **schedule_changes),
    **changes,
  )


def work(
  values: Values,
  out: str,
  stop: Stop,
  extra: dict[str, str] | None = None,
  *,
  images: str | None = None,
  results: Sequence[str] | None = None,
) -> workdir.Workspace:
  """Opens the work folder, whose settings are the flags and input digests.

  Args:
    values: the flags.
    out: path of the result. The default folder lies beside it.
    stop: returns whether the run shall stop.
    extra: digests of the inputs, by name.
    images: path of the images that the command reads.
    results: files that the command will write; None is `out`.

  Raises:
    ValueError: the folder belongs to a run with other settings, or is at the
      place of the images or of a result.
  """
  place = values.workdir or f'{out}.run'
  outputs.check_workdir(place, (out,) if results is None else results, images)
  settings = {
    name: values[name].value
    for name in values
    if name not in ('workdir', 'verbosity', 'traceback', 'track')
  }
  return workdir.open_workspace(
    place,
    config={**settings, **(extra or {})},
    stop=stop,
    track=values.track or (),
  )


def load(
  flag: str, path: str, *, used: bool = True, translators: bool = False
) -> generator_lib.Generator:
  """Loads one bundle.

  Args:
    flag: name of the flag, for messages.
    path: its value.
    used: whether samples of the generator are needed.
    translators: whether the bundle may be that of a `Translator`.

  Raises:
    ValueError: the bundle is missing or invalid, or its samples are unusable.
      For a folder the message names the bundles inside.
  """
  if os.path.isdir(path):
    advice = foreign.of_folder(path, f'--{flag}=')
    if flag == 'node':
      advice = advice.replace('name its bundles', 'name one of its bundles')
    raise ValueError(f'--{flag}={path}: a folder; {advice}')
  generator = bundle.load(path)
  if translators and generator.spec.condition_shape is not None:
    return generator
  checks.makes_images_of_latents(generator.spec, path)
  return checks.usable(generator, path) if used else generator


def load_nodes(
  paths: list[str], flag: str = 'nodes'
) -> list[generator_lib.Generator]:
  """Loads bundles whose samples have one shape.

  Args:
    paths: paths of the bundles.
    flag: name of the flag, for messages.

  Raises:
    ValueError: a bundle is missing, invalid or unusable, or shapes differ.
  """
  if not paths:
    raise ValueError(f'--{flag} names no bundle')
  nodes = [load(flag, path) for path in paths]
  checks.same_samples(nodes, paths)
  return nodes


def say_new_critics(
  paths: list[str], nodes: list[generator_lib.Generator]
) -> None:
  """Logs which bundles have no critic, so that training starts with new ones.

  Args:
    paths: paths of the bundles whose critics would be the start.
    nodes: their generators.
  """
  for path, node in zip(paths, nodes, strict=True):
    if node.critic is None:
      logging.info('%s holds no critic: training starts with new critics', path)


def refine(
  values: Values, nodes: list[generator_lib.Generator]
) -> refined_source.Config | None:
  """Returns the settings of discriminator optimal transport (DOT).

  Args:
    values: the flags `refine_steps` and `nodes`.
    nodes: the generators of the bundles.

  Returns:
    The settings; None for 0 steps.

  Raises:
    ValueError: a bundle has no critic.
  """
  if not values.refine_steps:
    return None
  for path, node in zip(values.nodes, nodes, strict=True):
    if node.critic is None:
      raise ValueError(
        f'{path}: no critic, which --refine_steps needs; leave the flag '
        'out, or name a bundle with its critic (--critic=keep)'
      )
  return refined_source.Config(steps=values.refine_steps)


def local(path: str, spec: generator_lib.Spec, name: str) -> np.ndarray:
  """Loads local images.

  Args:
    path: folder or array file.
    spec: spec of the generator, whose image shape the images must have.
    name: path of the generator's bundle, for messages.

  Raises:
    ValueError: the generator makes no images, or images are missing, invalid or
      too few.
  """
  shape = tuple(spec.image_shape)
  checks.images_only(
    shape, name, 'in Python, coalesce_jax.adapt and ternarize take points'
  )
  images = images_lib.load(path, shape, labelled=False).images
  if len(images) < partition.MIN_LOCAL:
    raise ValueError(
      f'--local={path}: {len(images)} images, at least {partition.MIN_LOCAL} '
      'are needed; add images'
    )
  return images


def digests(paths: list[str]) -> dict[str, str]:
  """Returns the digests of input files, which are settings of a run."""
  return {f'sha256 of input {k}': files.sha256(p) for k, p in enumerate(paths)}


def dataset(nodes: list[generator_lib.Generator]) -> str:
  """Returns the data set that the first bundle names in its provenance."""
  return nodes[0].spec.provenance.get('dataset', 'unknown')


def save(
  path: str | pathlib.Path,
  generator: translator_lib.Model,
  name: str,
  values: Values,
  dataset: str,
  *,
  classes: str = '',
  packing: str = '2bit',
  critic: bool = True,
) -> dict[str, Any]:
  """Writes a bundle with its provenance.

  Args:
    path: file to write.
    generator: the generator.
    name: name of the stage.
    values: flags, for the seed.
    dataset: name of the data set.
    classes: classes of the node, or the empty string.
    packing: packing of ternary weights.
    critic: whether the bundle holds the critic.

  Returns:
    What commands print of a bundle: its path, `bytes` of the generator alone,
    as it ships, and `file_bytes` with the critic.
  """
  provenance = {'stage': name, 'dataset': dataset, 'seed': str(values.seed)}
  if classes:
    provenance['classes'] = classes
  spec = dataclasses.replace(generator.spec, provenance=provenance)
  generator = generator._replace(spec=spec)
  bundle.save(path, generator, critic=critic, packing=packing)
  return {
    'bundle': str(path),
    'bytes': bundle.size_bytes(generator, packing),
    'file_bytes': pathlib.Path(path).stat().st_size,
  }


def last(work: workdir.Workspace, stage: str) -> dict[str, Any]:
  """Returns the last logged distances and position of a stage.

  Rows of an earlier process count too, if the stage was resumed.

  Args:
    work: the work folder.
    stage: name of the stage.
  """
  rows = work.recorder.rows(stage)
  if not rows:
    return {}
  names = ('w1_smooth', 'position', 'residual')
  return {name: rows[-1][name] for name in names if name in rows[-1]}
