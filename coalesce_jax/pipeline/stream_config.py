"""From the configuration of a stream to its learner and its tasks."""

from typing import Any, NamedTuple

from coalesce_jax.continual import learners
from coalesce_jax.continual import settings as continual_settings
from coalesce_jax.continual import stream
from coalesce_jax.continual import tasks as tasks_lib
from coalesce_jax.data import rendering
from coalesce_jax.pipeline import fields
from coalesce_jax.pipeline import keys
from coalesce_jax.pipeline import stream_defaults
from coalesce_jax.pipeline import stream_tasks

_CYCLEGAN = 'cyclegan'
# Learners that are not of the two networks of CycleGAN.
_NOT_OF_TWO = ('ewc', 'adapters')
_ADVICE = 'start from coalesce_jax.pipeline.stream_defaults.get_config()'


class Plan(NamedTuple):
  """What a configuration asks for.

  Attributes:
    settings: how each task is learned.
    sources: the tasks.
    coded: whether latents end in a code of the task.
  """

  settings: stream_tasks.Settings
  sources: list[stream_tasks.Source]
  coded: bool


def validate(config: Any) -> Plan:
  """Checks a configuration; reads no data.

  Raises:
    ValueError: one line with the field.
  """
  fields.like(config, stream_defaults.get_config(), _ADVICE)
  fields.positive(config, 'seeds')
  keys.check(config.seed + config.seeds - 1)
  if config.learner not in continual_settings.LEARNERS:
    raise ValueError(
      f'learner {config.learner!r} is not one of '
      f'{", ".join(continual_settings.LEARNERS)}'
    )
  if not config.tasks:
    raise ValueError('tasks: there are none; write NAME=DATA for each')
  settings = stream_tasks.Settings(
    data_dir=config.data_dir or None, layout=config.layout or None,
    **{
      name: config[name]
      for name in (
        'direction', 'side', 'images', 'steps', 'method', 'network', 'width',
        'critic_width', 'latent_size', 'batch_size', 'learning_rate',
        'save_seconds', 'fast_compile',
      )
    },
  )  # fmt: skip
  sources = []
  for text in config.tasks:
    if not isinstance(text, str):
      raise ValueError(f'task {text!r:.80} is no text like NAME=DATA')
    sources.append(stream_tasks.parse(text, settings))
  names = [source.name for source in sources]
  if len(set(names)) < len(names):
    raise ValueError(f'tasks {names}: a name occurs twice; write NAME=DATA')
  learner(config, 'unet')
  if config.options.get('bank') == 'random':
    raise ValueError(
      "options: bank 'random' is a control, of which no family can be kept"
    )
  if config.options.get('like', 0) not in (0, -1):
    raise ValueError(
      f'options: like {config.options.like} is neither 0, the first task, nor '
      '-1, the one before'
    )
  method = sources[0].method
  if method == _CYCLEGAN and config.learner in _NOT_OF_TWO:
    raise ValueError(
      f'learner {config.learner!r} takes tasks of one network; those without '
      'pairs have two'
    )
  paired = method not in (_CYCLEGAN, stream_tasks.LATENT)
  if config.options.get('similar') and not paired:
    raise ValueError('options: similar compares pairs, and there are none')
  coded = method == stream_tasks.LATENT and config.learner in learners.SHARED
  return Plan(settings, sources, coded)


def learner(config: Any, network: str) -> stream.Learner:
  """Returns the learner.

  Args:
    config: the configuration.
    network: registered name of the network of the tasks.

  Raises:
    ValueError: an option is unknown or out of range.
  """
  options = config.options.to_dict()
  if config.learner == 'piggyback':
    options.setdefault('share', config.share)
  return learners.make(config.learner, network, options)


def tasks(
  plan: Plan, progress: rendering.Progress | None = None
) -> list[tasks_lib.Task]:
  """Loads the tasks; see `stream_tasks.load`."""
  return stream_tasks.load(plan.sources, plan.settings, plan.coded, progress)
