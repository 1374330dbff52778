"""Which methods, shares and settings a configuration of pruning asks for."""

import dataclasses
from typing import Any

from coalesce_jax.compress import agents
from coalesce_jax.compress import shrinking
from coalesce_jax.methods import adaptation
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.pipeline import fields
from coalesce_jax.transforms import ternary_config
from experiments.pruning import grounds
from experiments.pruning import subjects as subjects_lib

# Variants of 'density': what its agents, or its settings, lack or have more.
ABLATIONS: dict[str, dict[str, Any]] = {
  'density_chosen': {'density_weight': 0.0},
  'density_light': {'density_weight': 1.0},
  'density_later': {'train_first': True},
  'density_later_light': {'train_first': True, 'density_weight': 1.0},
  'density_global': {'local': False},
  'density_alone': {'feedback': False},
  'density_generator': {'critic': False},
}
# Ends of names of rows, which say for how long their networks train.
LASTING = ('_short', '_twice', '_long')
# Fields of a subject that are whole numbers of at least 1.
_OF_SUBJECT = ('width', 'steps', 'tuning', 'batch_size')


def validate(config: Any) -> None:
  """Checks the settings of all trials before anything is done.

  Raises:
    ValueError: one line.
  """
  for name in names(config):
    kind = config.subjects[name].kind
    if kind not in subjects_lib.KINDS:
      raise ValueError(f'kind {kind!r} is not one of {subjects_lib.KINDS}')
    fields.positive(config.subjects[name], *_OF_SUBJECT)
  named = (
    config.methods, config.middle_methods, config.cyclegan_methods,
    config.ternary_methods, [method for method, _ in config.more_rows],
  )  # fmt: skip
  every = (*shrinking.METHODS, *ABLATIONS)
  for method in (m for some in named for m in some):
    if _parted(method)[0] not in every:
      raise ValueError(
        f'method {method!r} is not one of {every}, which may end in one of '
        f'{LASTING}'
      )
  if not config.shares:
    raise ValueError('shares: there is none')
  for some in (config.shares, config.ternary_shares):
    if len({round(100 * share) for share in some}) < len(some):
      raise ValueError(f'shares {tuple(some)}: two are the same percentage')
  more = [share for _, share in config.more_rows]
  for share in (*config.shares, *config.ternary_shares, *more):
    if not 0.0 < share < 1.0:
      raise ValueError(f'share {share} is not between 0 and 1')
  if not 0.0 < config.pool_share < 1.0:
    raise ValueError(f'pool_share {config.pool_share} is not between 0 and 1')
  fields.positive(config, 'seeds', 'pool', 'samples')
  of_method(config, '')
  ternarization(config, subjects_lib.generator(config, (8, 8, 1), 4, 4))


def names(config: Any) -> tuple[str, ...]:
  """Returns the names of the subjects.

  Raises:
    ValueError: there is no subject of a name.
  """
  for name in config.only:
    if name not in config.subjects:
      raise ValueError(
        f'subject {name!r} is not one of {tuple(config.subjects)}'
      )
  return tuple(config.only) or tuple(config.subjects)


def middle(config: Any) -> float:
  """Returns the middle share."""
  return float(sorted(config.shares)[len(config.shares) // 2])


def rows(config: Any, name: str) -> list[tuple[float, str]]:
  """Returns the shares and methods of a subject.

  Of generators of latents the middle share has more methods than the others.
  Translators have no other share, and CycleGAN has methods of its own.
  """
  kind = config.subjects[name].kind
  found = []
  for share in config.shares if kind == 'latent' else (middle(config),):
    named = tuple(config.methods)
    if share == middle(config) and kind == 'latent':
      named += tuple(config.middle_methods)
    found += [
      (share, method)
      for method in dict.fromkeys(named)
      if kind != 'cyclegan' or method in config.cyclegan_methods
    ]
  if kind == 'latent':
    found += [(float(share), str(name)) for name, share in config.more_rows]
  return list(dict.fromkeys(found))


def stage(method: str, share: float) -> str:
  """Returns the name of what a method makes at a share."""
  return f'{method}_{round(100 * share)}'


def base(method: str) -> str:
  """Returns the method of `shrinking.METHODS` that a row belongs to."""
  first, _ = _parted(method)
  return 'density' if first in ABLATIONS else first


def steps(subject: Any, method: str) -> int:
  """Returns for how many steps the smaller networks of a row train.

  Methods that start new train as long as the large network and the fine-tuning
  together, and others as long as the fine-tuning. Rows in `_long` train as
  methods that start new, and `_short` as the others. 'slimming' and 'gcc' train
  as long before the choice, too, and rows in `_twice` as long as both in all.

  Args:
    subject: its settings.
    method: name of the row.
  """
  _, lasting = _parted(method)
  if lasting == '_twice':
    return int(2 * subject.tuning)
  new = shrinking.METHODS[base(method)].new
  long = lasting == '_long' or (new and lasting != '_short')
  return int(subject.tuning + (subject.steps if long else 0))


def _parted(method: str) -> tuple[str, str]:
  """Returns the name of a row without its end, and that end or ''."""
  for end in LASTING:
    if method.endswith(end):
      return method.removesuffix(end), end
  return method, ''


def of_method(config: Any, method: str) -> shrinking.Config:
  """Returns the settings of a method or an ablation.

  Raises:
    ValueError: one is out of range.
  """
  changes = dict(ABLATIONS.get(_parted(method)[0], {}))
  whole = {
    name: changes.pop(name) for name in shrinking.Config._fields
    if name in changes
  }  # fmt: skip
  how = dict(config.agents)
  schedule = grounds.schedule(how.pop('steps'))
  return shrinking.Config(agents.Config(schedule, **how, **changes), **whole)


def ternarization(config: Any, spec: generator_lib.Spec) -> adaptation.Config:
  """Returns the settings of ternarization.

  Raises:
    ValueError: one is out of range or unknown.
  """
  how, default = dict(config.ternary), adaptation.ternarize_default(spec)
  assert default.ternary is not None
  leaves = default.ternary.leaves
  game = dataclasses.replace(default.game, augment=how.pop('augment'))
  return dataclasses.replace(
    default, game=game, anchor=how.pop('anchor'),
    ternary=ternary_config.Ternary(leaves=leaves, **how),
  )  # fmt: skip
