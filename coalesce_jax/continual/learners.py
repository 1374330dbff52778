"""The one table of learners, by name."""

from collections.abc import Callable, Mapping
import inspect
from typing import Any

from coalesce_jax.continual import consolidation
from coalesce_jax.continual import modulation
from coalesce_jax.continual import one_network
from coalesce_jax.continual import piggyback_learner
from coalesce_jax.continual import rehearsal
from coalesce_jax.continual import separate
from coalesce_jax.continual import settings
from coalesce_jax.continual import stream

# Learners of one network for all tasks, which must tell latent tasks apart by
# their codes.
SHARED = ('sequential', 'joint', 'replay', 'distillation', 'ewc', 'l2')


def _low_rank(rank: int = 4) -> stream.Learner:
  """Returns the learner of scales and shifts of low rank."""
  return modulation.scale_shift(rank=rank)


def _piggyback(**options: Any) -> stream.Learner:
  return piggyback_learner.learner(settings.Piggyback(**options))


TABLE: dict[str, Callable[..., stream.Learner]] = {
  'standalone': separate.standalone,
  'sequential': one_network.sequential,
  'joint': rehearsal.joint,
  'replay': rehearsal.replay,
  'distillation': rehearsal.distillation,
  'ewc': consolidation.ewc,
  'l2': consolidation.l2,
  'last_layer': modulation.last_layer,
  'scale_shift': modulation.scale_shift,
  'low_rank': _low_rank,
  'adapters': modulation.adapters,
  'taps': modulation.taps,
  'piggyback': _piggyback,
}


def make(
  name: str, network: str, options: Mapping[str, Any] | None = None
) -> stream.Learner:
  """Returns a learner.

  Args:
    name: one of `settings.LEARNERS`.
    network: registered name of the network of the tasks.
    options: arguments of the learner by name, such as `share` of piggyback or
      `weight` of ewc.

  Raises:
    ValueError: the learner or an option is unknown, or out of range.
  """
  if name not in TABLE:
    raise ValueError(f'learner {name!r} is not one of {settings.LEARNERS}')
  given = dict(options or {})
  if name == 'last_layer':
    given['network'] = network
  accepted = settings.Piggyback if name == 'piggyback' else TABLE[name]
  names = list(inspect.signature(accepted).parameters)
  for option in given:
    if option not in names:
      raise ValueError(f'learner {name!r} has no option {option!r}: {names}')
  return TABLE[name](**given)
