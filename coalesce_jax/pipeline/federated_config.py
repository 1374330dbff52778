"""From the configuration of federated learning to its settings."""

from typing import Any

from coalesce_jax.federated import classifier
from coalesce_jax.federated import settings
from coalesce_jax.pipeline import federated_data
from coalesce_jax.pipeline import federated_defaults
from coalesce_jax.pipeline import fields
from coalesce_jax.pipeline import keys
from coalesce_jax.training import schedules

_ADVICE = 'start from coalesce_jax.pipeline.federated_defaults.get_config()'
# Beyond this all shares are equal.
_MOST_CONCENTRATED = 1e6
_POSITIVE = ('nodes', 'ways', 'shots', 'queries', 'seeds', 'tasks')


def validate(config: Any) -> settings.Config:
  """Checks a configuration; reads no data.

  Returns:
    How nodes learn.

  Raises:
    ValueError: one line with the field.
  """
  fields.like(config, federated_defaults.get_config(), _ADVICE)
  fields.positive(config, *_POSITIVE)
  for name in ('images', 'validation_nodes'):
    if config[name] < 0:
      raise ValueError(f'{name} {config[name]} is negative')
  for seed in (config.seed, config.seed + config.seeds - 1):
    keys.check(seed)
  if config.partition not in federated_data.PARTITIONS:
    raise ValueError(
      f'partition {config.partition!r} is not one of '
      f'{", ".join(federated_data.PARTITIONS)}'
    )
  if (config.partition == 'alphabets') != (config.data == 'omniglot'):
    raise ValueError(
      f"data {config.data!r} with partition {config.partition!r}: 'omniglot' "
      "and 'alphabets' go together"
    )
  if config.partition != 'alphabets':
    _check_classes(config)
  if config.gates == 'none' and config.meta.order != 'backbone':
    raise ValueError("gates 'none' need the order 'backbone'")
  spec(config, (28, 28, 1), config.ways)
  return learning(config)


def spec(
  config: Any, image_shape: tuple[int, ...], classes: int
) -> classifier.Spec:
  """Returns the network.

  Args:
    config: the configuration.
    image_shape: (H, W, C).
    classes: number of outputs.

  Raises:
    ValueError: a value is out of bounds.
  """
  return classifier.Spec(
    config.network, tuple(int(n) for n in image_shape), classes, config.width,
    config.gates, config.per_group, config.blocks,
  )  # fmt: skip


def learning(config: Any, **changes: Any) -> settings.Config:
  """Returns how nodes learn.

  Args:
    config: the configuration.
    **changes: other values of fields of `settings.Config`.

  Raises:
    ValueError: a value is out of range.
  """
  schedule = schedules.Schedule(
    config.rounds, min(config.chunk, config.rounds),
    save_seconds=config.save_seconds, select_every=config.select_every,
    patience=config.patience, fast_compile=config.fast_compile,
  )  # fmt: skip
  given = {name: config.meta[name] for name in federated_defaults.META}
  return settings.Config(**{**given, 'schedule': schedule, **changes})


def _check_classes(config: Any) -> None:
  classes = tuple(config.classes)
  if (
    len(classes) != 2
    or any(type(n) is not int for n in classes)
    or not 1 <= classes[0] <= classes[1]
  ):
    raise ValueError(
      f'classes {tuple(config.classes)} are not the fewest and the most'
    )
  if config.permute and config.partition == 'dirichlet':
    raise ValueError("partition 'dirichlet' needs permute=False: nodes have "
                     'different numbers of classes')  # fmt: skip
  if config.permute and config.classes[1] > config.ways:
    raise ValueError(
      f'classes up to {config.classes[1]}: permuted labels of {config.ways} '
      'ways have no room for more'
    )
  if not 0.0 < config.concentration <= _MOST_CONCENTRATED:
    raise ValueError(
      f'concentration {config.concentration} is not in '
      f'(0, {_MOST_CONCENTRATED:g}]'
    )
  fields.positive(config, 'test_nodes')
