"""Flags and checks that several subcommands share."""

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
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.runs import workdir
from coalesce_jax.training import loop

Stop = Callable[[], bool]
Values = flags.FlagValues


class Command(NamedTuple):
  """A subcommand.

  Attributes:
    help: one line.
    define: adds its flags.
    run: ``(flag values, stop) -> result`` for the JSON line.
  """

  help: str
  define: Callable[[Values], None]
  run: Callable[[Values, Stop], dict[str, Any]]


def string(values: Values, name: str, default: Any, text: str) -> None:
  """Defines a text flag."""
  flags.DEFINE_string(name, default, text, flag_values=values)


def required(values: Values, *names: str) -> None:
  """Marks flags as required."""
  for name in names:
    flags.mark_flag_as_required(name, flag_values=values)


def define_training(values: Values, config: Any) -> None:
  """Defines the flags of a command that trains.

  Args:
    values: where they are defined.
    config: settings of the stage, for the defaults; `game` and `schedule` are
      what the flags are about.
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
    'critic_steps', game.critic_steps, 'Critic steps a generator step.',
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_integer(
    'generator_batches', game.generator_batches,
    'Batches that make one generator step.', flag_values=values,
  )  # fmt: skip
  flags.DEFINE_float(
    'learning_rate', game.learning_rate, "Of the generator's Adam.",
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_float(
    'critic_learning_rate', game.critic_learning_rate or 0.0,
    "Of the critics'; 0 is the generator's.", flag_values=values,
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
  """Returns the settings of a stage with those of the flags.

  Args:
    values: flags of `define_training`.
    config: settings of the stage where no flag says otherwise.
    steps: generator steps; None are those of the flags.
    game: further changes of the game's settings.
    schedule: further changes of the schedule.
    **changes: further changes of the stage's settings.
  """
  steps = values.steps if steps is None else steps
  rules = {
    'batch_size': values.batch_size,
    'critic_steps': values.critic_steps,
    'generator_batches': values.generator_batches,
    'learning_rate': values.learning_rate,
    'critic_learning_rate': values.critic_learning_rate or None,
    **(game or {}),
  }
  chunk = loop.chunk_of(steps, config.schedule.chunk)
  times = {'steps': steps, 'chunk': chunk, **(schedule or {})}
  return dataclasses.replace(
    config,
    game=dataclasses.replace(config.game, **rules),
    schedule=dataclasses.replace(config.schedule, **times),
    **changes,
  )


def work(
  values: Values, out: str, stop: Stop, extra: dict[str, str] | None = None
) -> workdir.Workspace:
  """The work folder; its settings are the flags and digests of the inputs."""
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
  """Bundles of equal image shapes; ValueError otherwise."""
  if not paths:
    raise ValueError('--nodes names no bundle')
  members = [bundle.load(path) for path in paths]
  for path, member in zip(paths, members, strict=True):
    if member.spec.image_shape != members[0].spec.image_shape:
      raise ValueError(
        f'{path}: makes {member.spec.image_shape}, {paths[0]} makes '
        f'{members[0].spec.image_shape}'
      )
  return members


def refine(
  values: Values, members: list[generator_lib.Generator]
) -> refined_source.Config | None:
  """Of `--refine_steps`; ValueError for a bundle without a critic."""
  if not values.refine_steps:
    return None
  for path, member in zip(values.nodes, members, strict=True):
    if member.critic is None:
      raise ValueError(f'{path}: no critic, which --refine_steps needs')
  return refined_source.Config(steps=values.refine_steps)


def local(path: str, spec: generator_lib.Spec) -> np.ndarray:
  """Local images of the right shape and number; ValueError otherwise."""
  images = images_lib.load(path, tuple(spec.image_shape)).images
  if len(images) < partition.MIN_LOCAL:
    raise ValueError(
      f'{path}: {len(images)} images, at least {partition.MIN_LOCAL} are needed'
    )
  return images


def numbers(name: str, values: list[str] | None) -> list[float] | None:
  """A list flag as numbers; ValueError otherwise."""
  if values is None:
    return None
  try:
    return [float(v) for v in values]
  except ValueError:
    raise ValueError(f'--{name}={",".join(values)}: not numbers') from None


def checked_out(path: str) -> str:
  """The path of a result, once its folder is known to take files."""
  files.check_writable(pathlib.Path(path).parent)
  return path


def digests(paths: list[str]) -> dict[str, str]:
  """Digests of input files, part of the settings of a run."""
  return {f'sha256 of input {k}': files.sha256(p) for k, p in enumerate(paths)}


def dataset(members: list[generator_lib.Generator]) -> str:
  """Data set that the first generator says it learned."""
  return members[0].spec.provenance.get('dataset', 'unknown')


def save(
  path: str | pathlib.Path,
  generator: generator_lib.Generator,
  name: str,
  values: Values,
  dataset: str,
  classes: str = '',
  packing: str = '2bit',
) -> None:
  """Writes a bundle with its provenance."""
  provenance = {'stage': name, 'dataset': dataset, 'seed': str(values.seed)}
  if classes:
    provenance['classes'] = classes
  spec = dataclasses.replace(generator.spec, provenance=provenance)
  bundle.save(path, generator._replace(spec=spec), packing=packing)


def last(work: workdir.Workspace, part: str) -> dict[str, Any]:
  """The last logged distances and position, also of a resumed stage."""
  rows = work.recorder.rows(part)
  if not rows:
    return {}
  names = ('w1_smooth', 'position', 'residual')
  return {name: rows[-1][name] for name in names if name in rows[-1]}


def png(array: np.ndarray) -> bytes:
  """PNG bytes of an image `[H, W, 1 or 3]`, uint8."""
  if array.shape[-1] == 1:
    array = array[..., 0]
  buffer = io.BytesIO()
  Image.fromarray(array).save(buffer, format='PNG')
  return buffer.getvalue()
