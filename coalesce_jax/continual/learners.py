"""The one table of learners, by name."""

from collections.abc import Callable, Mapping
import inspect
import math
import numbers
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
# What an option has to be, by the type of its default, and least values.
_KINDS: dict[type, tuple[Any, str]] = {
  bool: (bool, 'true or false'),
  int: (numbers.Integral, 'a whole number'),
  float: (numbers.Real, 'a number'),
  str: (str, 'a text'),
  tuple: (tuple, 'a list'),
}
_LEAST = {'weight': 0.0, 'samples': 1, 'group': 1, 'rank': 0}


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
    ValueError: the learner or an option is unknown, or out of range; one line.
  """
  if name not in TABLE:
    raise ValueError(f'learner {name!r} is not one of {settings.LEARNERS}')
  given = dict(options or {})
  if name == 'last_layer':
    given['network'] = network
  accepted = settings.Piggyback if name == 'piggyback' else TABLE[name]
  parameters = inspect.signature(accepted).parameters
  for option, value in given.items():
    if option not in parameters:
      raise ValueError(
        f'learner {name!r} has no option {option!r}: {list(parameters)}'
      )
    given[option] = _checked(option, value, parameters[option].default)
  return TABLE[name](**given)


def _checked(option: str, value: Any, default: Any) -> Any:
  """Returns the value of an option, lists as tuples.

  Raises:
    ValueError: it is not of the type of the default, or below the least value.
  """
  given = _tuples(value)
  kind, words = _KINDS.get(type(default), (object, ''))
  wrong = not isinstance(given, kind)
  # A bool is a number for Python.
  wrong |= isinstance(given, bool) != isinstance(default, bool)
  if option == 'novelty' and given is not None:
    wrong = not isinstance(given, tuple) or len(given) != 2
    wrong = wrong or not all(isinstance(n, numbers.Real) for n in given)
    words = 'a lowest and a highest share'
  if option == 'shares' and not wrong:
    wrong = any(not isinstance(x, tuple) or len(x) != 2 for x in given)
    wrong = wrong or not all(
      isinstance(x, str) and isinstance(y, numbers.Real) for x, y in given
    )
    words = 'a list of pairs of a pattern and a share'
  if wrong:
    raise ValueError(f'option {option}: {value!r:.80} is not {words}')
  least = _LEAST.get(option)
  if least is not None and not least <= given < math.inf:
    raise ValueError(f'option {option}: {given} is not at least {least}')
  return given


def _tuples(value: Any) -> Any:
  if isinstance(value, list | tuple):
    return tuple(map(_tuples, value))
  return value
