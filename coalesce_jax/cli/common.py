"""Defines flags and checks that several subcommands share."""

from collections.abc import Callable
import dataclasses
import io
import pathlib
from typing import Any, NamedTuple

from absl import flags
import numpy as np
from PIL import Image

from coalesce_jax.core import files
from coalesce_jax.data import images as images_lib
from coalesce_jax.data import partition
from coalesce_jax.gan import refined_source
from coalesce_jax.models import bundle
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.runs import workdir
from coalesce_jax.training import loop

Stop = Callable[[], bool]
Values = flags.FlagValues


class Command(NamedTuple):
  """A subcommand.

  Attributes:
    help: a description in one line.
    define: defines its flags.
    run: ``(flag values, stop) -> result``, which is printed as one JSON line.
  """

  help: str
  define: Callable[[Values], None]
  run: Callable[[Values, Stop], dict[str, Any]]


def string(values: Values, name: str, default: Any, text: str) -> None:
  """Defines a flag that is a string."""
  flags.DEFINE_string(name, default, text, flag_values=values)


def required(values: Values, *names: str) -> None:
  """Marks flags as required."""
  for name in names:
    flags.mark_flag_as_required(name, flag_values=values)


def define_training(values: Values, config: Any) -> None:
  """Defines the flags of a command that trains.

  Args:
    values: the flags.
    config: settings of the stage. Its `game` and `schedule` give the defaults.
  """
  game = config.game
  flags.DEFINE_integer(
    'steps', config.schedule.steps, 'Generator steps.', flag_values=values
  )
  flags.DEFINE_integer('seed', 0, 'Seed.', flag_values=values)
  flags.DEFINE_integer(
    'batch_size', game.batch_size, 'Batch size.', flag_values=values
  )
  flags.DEFINE_integer(
    'critic_steps', game.critic_steps, 'Critic steps per generator step.',
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_integer(
    'generator_batches', game.generator_batches,
    'Batches in one generator step.', flag_values=values,
  )  # fmt: skip
  flags.DEFINE_float(
    'learning_rate', game.learning_rate,
    "Learning rate of the generator's Adam.", flag_values=values,
  )  # fmt: skip
  flags.DEFINE_float(
    'critic_learning_rate', game.critic_learning_rate or 0.0,
    "Learning rate of the critics' Adam; 0 is that of the generator.",
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_bool(
    'tensorboard', False, 'Write event files.', flag_values=values
  )
  string(
    values, 'workdir', None,
    'Folder of records and checkpoints; default: OUT.run beside the result.',
  )  # fmt: skip


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
    values: flags of `define_training`.
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
  values: Values, out: str, stop: Stop, extra: dict[str, str] | None = None
) -> workdir.Workspace:
  """Opens the work folder, whose settings are the flags and input digests.

  Args:
    values: the flags.
    out: path of the result. The default folder lies beside it.
    stop: returns whether the run shall stop.
    extra: digests of the inputs, by name.

  Raises:
    ValueError: the folder belongs to a run with other settings.
  """
  settings = {
    name: values[name].value
    for name in values
    if name not in ('workdir', 'verbosity', 'traceback')
  }
  return workdir.open_workspace(
    values.workdir or f'{out}.run',
    config={**settings, **(extra or {})},
    stop=stop,
    tensorboard=values.tensorboard,
  )


def load_nodes(paths: list[str]) -> list[generator_lib.Generator]:
  """Loads bundles whose samples have one shape.

  Raises:
    ValueError: a bundle is missing, invalid or unusable, or shapes differ.
  """
  if not paths:
    raise ValueError('--nodes names no bundle')
  nodes = [checks.usable(bundle.load(path), path) for path in paths]
  for path, node in zip(paths, nodes, strict=True):
    if node.spec.image_shape != nodes[0].spec.image_shape:
      raise ValueError(
        f'{path}: makes {node.spec.image_shape}, {paths[0]} makes '
        f'{nodes[0].spec.image_shape}'
      )
  return nodes


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
      raise ValueError(f'{path}: no critic, which --refine_steps needs')
  return refined_source.Config(steps=values.refine_steps)


def local(path: str, spec: generator_lib.Spec) -> np.ndarray:
  """Loads local images.

  Args:
    path: folder or array file.
    spec: spec of the generator, whose image shape the images must have.

  Raises:
    ValueError: images are missing or invalid, or too few.
  """
  images = images_lib.load(path, tuple(spec.image_shape)).images
  if len(images) < partition.MIN_LOCAL:
    raise ValueError(
      f'{path}: {len(images)} images, at least {partition.MIN_LOCAL} are needed'
    )
  return images


def numbers(name: str, values: list[str] | None) -> list[float] | None:
  """Returns a list flag as numbers.

  Args:
    name: name of the flag, for the message.
    values: value of the flag.

  Raises:
    ValueError: an item is not a number.
  """
  if values is None:
    return None
  try:
    return [float(v) for v in values]
  except ValueError:
    raise ValueError(f'--{name}={",".join(values)}: not numbers') from None


def checked_out(path: str) -> str:
  """Returns the path of a result after checking that its folder is writable."""
  files.check_writable(pathlib.Path(path).parent)
  return path


def digests(paths: list[str]) -> dict[str, str]:
  """Returns the digests of input files, which are settings of a run."""
  return {f'sha256 of input {k}': files.sha256(p) for k, p in enumerate(paths)}


def dataset(nodes: list[generator_lib.Generator]) -> str:
  """Returns the data set that the first bundle names in its provenance."""
  return nodes[0].spec.provenance.get('dataset', 'unknown')


def save(
  path: str | pathlib.Path,
  generator: generator_lib.Generator,
  name: str,
  values: Values,
  dataset: str,
  classes: str = '',
  packing: str = '2bit',
) -> None:
  """Writes a bundle with its provenance.

  Args:
    path: file to write.
    generator: the generator.
    name: name of the stage.
    values: flags, for the seed.
    dataset: name of the data set.
    classes: classes of the node, or the empty string.
    packing: packing of ternary weights.
  """
  provenance = {'stage': name, 'dataset': dataset, 'seed': str(values.seed)}
  if classes:
    provenance['classes'] = classes
  spec = dataclasses.replace(generator.spec, provenance=provenance)
  bundle.save(path, generator._replace(spec=spec), packing=packing)


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


def png(array: np.ndarray) -> bytes:
  """Returns an image `[H, W, 1 or 3]`, uint8, as the bytes of a PNG file."""
  if array.shape[-1] == 1:
    array = array[..., 0]
  buffer = io.BytesIO()
  Image.fromarray(array).save(buffer, format='PNG')
  return buffer.getvalue()
