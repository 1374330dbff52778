"""Checks the options of networks, which may come from files of other nodes."""

from typing import Any

MAX_WIDTH = 4096
MAX_LAYERS = 16
MAX_SCALE = 1e6


def whole(name: str, value: Any, least: int, most: int) -> int:
  """Returns a whole number in [least, most].

  Raises:
    ValueError: the value is anything else.
  """
  if isinstance(value, bool) or not isinstance(value, int):
    raise ValueError(f'{name} {value!r} is not a whole number')
  if not least <= value <= most:
    raise ValueError(f'{name} {value} is not in [{least}, {most}]')
  return value


def width(value: Any) -> int:
  """Returns a width, at most `MAX_WIDTH`.

  Raises:
    ValueError: the value is anything else.
  """
  return whole('width', value, 1, MAX_WIDTH)


def widths(value: Any, count: int) -> tuple[int, ...] | None:
  """Returns the number of channels of each of `count` layers, or None.

  Raises:
    ValueError: the value is anything else.
  """
  if value is None:
    return None
  if not isinstance(value, tuple | list) or len(value) != count:
    raise ValueError(f'widths {str(value)[:60]} are not a list of {count}')
  return tuple(whole('a width of widths', v, 1, MAX_WIDTH) for v in value)


def hidden(value: Any) -> tuple[int, ...]:
  """Returns the sizes of at most `MAX_LAYERS` hidden layers.

  Raises:
    ValueError: the value is anything else.
  """
  if not isinstance(value, tuple | list) or len(value) > MAX_LAYERS:
    raise ValueError(f'hidden {value!r} is not a list of <= {MAX_LAYERS} sizes')
  return tuple(width(v) for v in value)


def positive(name: str, value: Any) -> float:
  """Returns a number in (0, `MAX_SCALE`].

  Raises:
    ValueError: the value is anything else.
  """
  if isinstance(value, bool) or not isinstance(value, int | float):
    raise ValueError(f'{name} {value!r} is not a number')
  if not 0.0 < value <= MAX_SCALE:
    raise ValueError(f'{name} {value} is not in (0, {MAX_SCALE:g}]')
  return float(value)


def not_negative(name: str, value: Any) -> float:
  """Returns a number in [0, `MAX_SCALE`].

  Raises:
    ValueError: the value is anything else.
  """
  if not isinstance(value, bool) and value == 0:
    return 0.0
  return positive(name, value)


def choice(name: str, value: Any, choices: Any) -> str:
  """Returns one of the choices.

  Raises:
    ValueError: the value is anything else.
  """
  if not isinstance(value, str) or value not in choices:
    raise ValueError(f'{name} {value!r} is not one of {sorted(choices)}')
  return value
