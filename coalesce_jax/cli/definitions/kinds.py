"""Defines flags by the kind of their value, and checks it where it is parsed.

A value that is refused gives one line that names the flag, the value and what
is wanted.
"""

from collections.abc import Sequence
import math
import os
import re
from typing import Any

from absl import flags

from coalesce_jax.models import zoo

Values = flags.FlagValues

# JAX makes a key of the low 32 bits of a seed.
MAX_SEED = 2**32 - 1
MAX_STEPS = 10**9


class _Path(flags.ArgumentParser):
  """Expands `~` and `zoo:NAME`, and refuses what is no path."""

  syntactic_help = 'a path'

  def parse(self, argument: str) -> str:
    text = str(argument)
    if not text.strip():
      raise ValueError('the path is empty')
    if '\0' in text or '\n' in text:
      raise ValueError('a path holds no line break')
    if '://' in text:
      raise ValueError(
        'a URL is not read; download it and name the file on this machine'
      )
    if text.startswith(zoo.PREFIX):
      return zoo.path(text)
    expanded = os.path.expanduser(text)
    if expanded.startswith('~'):
      raise ValueError(f'no home folder for {text.split("/")[0]!r}')
    return expanded

  def flag_type(self) -> str:
    return 'path'


class _Items(flags.ArgumentParser):
  """Splits a list at its commas and parses each item."""

  def __init__(self, item: flags.ArgumentParser):
    super().__init__()
    self._item = item

  def parse(self, argument: str | Sequence[str]) -> list[Any]:
    if isinstance(argument, list):
      return argument
    items = [item.strip() for item in str(argument).split(',')]
    if not all(items):
      raise ValueError('an item of the list is empty; is a comma too many?')
    return [self._item.parse(item) for item in items]

  def flag_type(self) -> str:
    return f'list of {self._item.flag_type()}s'


class _Number(flags.ArgumentParser):
  """Parses a finite number within bounds."""

  def __init__(self, low: float, high: float, open_low: bool):
    super().__init__()
    self._low, self._high, self._open = low, high, open_low

  def parse(self, argument: Any) -> float:
    try:
      value = float(argument)
    except ValueError:
      raise ValueError('it is not a number') from None
    if not math.isfinite(value):
      raise ValueError('it is not finite')
    if value < self._low or value > self._high:
      raise ValueError(f'it is not in [{self._low:g}, {self._high:g}]')
    if self._open and value == self._low:
      raise ValueError(f'it is not above {self._low:g}')
    return value

  def flag_type(self) -> str:
    return 'number'


class _Integer(flags.ArgumentParser):
  """Parses a whole number within bounds."""

  def __init__(self, low: int, high: int):
    super().__init__()
    self._low, self._high = low, high

  def parse(self, argument: Any) -> int:
    text = str(argument)
    if not re.fullmatch(r'[+-]?[0-9]{1,30}', text):
      raise ValueError('it is not a whole number')
    value = int(text)
    if not self._low <= value <= self._high:
      raise ValueError(f'it is not in [{self._low}, {self._high}]')
    return value

  def flag_type(self) -> str:
    return 'whole number'


class _Switch(flags.BooleanParser):
  """Parses true or false."""

  def parse(self, argument: Any) -> bool:
    try:
      return super().parse(argument)
    except (TypeError, ValueError):
      raise ValueError('it is neither true nor false') from None


class _Choice(flags.ArgumentParser):
  """Parses one of several names."""

  def __init__(self, names: Sequence[str]):
    super().__init__()
    self.enum_values = list(names)

  def parse(self, argument: Any) -> str:
    if argument not in self.enum_values:
      raise ValueError(
        f'{str(argument)!r:.80} is not one of {", ".join(self.enum_values)}'
      )
    return argument

  def flag_type(self) -> str:
    return 'name'


class _Joined(flags.ArgumentSerializer):
  def serialize(self, value: list[Any]) -> str:
    return ','.join(str(v) for v in value)


def path(values: Values, name: str, default: str | None, text: str) -> None:
  """Defines a flag that is a path, in which `~` is the home folder."""
  _define(values, _Path(), None, name, default, text)


def paths(values: Values, name: str, text: str) -> None:
  """Defines a flag that is a list of paths, separated by commas."""
  _define(values, _Items(_Path()), _Joined(), name, None, text)


def numbers(values: Values, name: str, text: str) -> None:
  """Defines a flag that is a list of numbers, separated by commas."""
  item = _Number(-math.inf, math.inf, False)
  _define(values, _Items(item), _Joined(), name, None, text)


def number(
  values: Values,
  name: str,
  default: float | None,
  text: str,
  low: float = -math.inf,
  high: float = math.inf,
  open_low: bool = False,
) -> None:
  """Defines a flag that is a finite number.

  Args:
    values: the flags.
    name: name of the flag.
    default: its default.
    text: its help.
    low: smallest value.
    high: largest value.
    open_low: whether `low` itself is refused.
  """
  parser = _Number(low, high, open_low)
  _define(values, parser, flags.ArgumentSerializer(), name, default, text)


def count(
  values: Values,
  name: str,
  default: int | None,
  text: str,
  low: int = 1,
  high: int = MAX_STEPS,
) -> None:
  """Defines a flag that is an integer in `[low, high]`."""
  parser = _Integer(low, high)
  _define(values, parser, flags.ArgumentSerializer(), name, default, text)


def seed(values: Values) -> None:
  """Defines the flag of the seed."""
  count(values, 'seed', 0, 'Seed.', 0, MAX_SEED)


def string(values: Values, name: str, default: Any, text: str) -> None:
  """Defines a flag that is a string."""
  flags.DEFINE_string(name, default, text, flag_values=values)


def switch(values: Values, name: str, text: str) -> None:
  """Defines a flag that is off by default."""
  flag = flags.BooleanFlag(name, False, text)
  flag.parser = _Switch()
  flags.DEFINE_flag(flag, flag_values=values)


def choice(
  values: Values,
  name: str,
  default: str | None,
  choices: Sequence[str],
  text: str,
) -> None:
  """Defines a flag that is one of several names."""
  flags.DEFINE_enum(name, default, list(choices), text, flag_values=values)


def choices(values: Values, name: str, names: Sequence[str], text: str) -> None:
  """Defines a flag that is a list of some of several names."""
  item = _Choice(names)
  _define(
    values, _Items(item), _Joined(), name, None,
    f'{text} Among {", ".join(names)}.',
  )  # fmt: skip


def _define(
  values: Values,
  parser: flags.ArgumentParser,
  serializer: flags.ArgumentSerializer | None,
  name: str,
  default: Any,
  text: str,
) -> None:
  flags.DEFINE(
    parser, name, default, text, flag_values=values, serializer=serializer
  )
