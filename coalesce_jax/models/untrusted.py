"""Checks of the plain values in an untrusted manifest.

Each function returns its value in a bounded, plain form. It raises ValueError
with one short line for any other value.
"""

from collections.abc import Collection
import re
from typing import Any

from coalesce_jax.models import generator

MAX_TEXT = 4096
MAX_NAMES = 1000
MAX_OPTIONS = 16
MAX_SIZES = 24
MAX_SIZE = 1 << 20


def text(value: Any) -> str:
  """Checks a text of at most `MAX_TEXT` characters."""
  if not isinstance(value, str) or len(value) > MAX_TEXT:
    raise ValueError(
      f'{str(value)[:40]!r} is no text of at most {MAX_TEXT} characters'
    )
  return value


def one_of(what: str, value: Any, choices: Collection[str]) -> str:
  """Checks that a value is one of the choices; `what` names it in the error."""
  if not isinstance(value, str) or value not in choices:
    raise ValueError(
      f'{what} {str(value)[:40]!r} is not one of {tuple(choices)}'
    )
  return value


def names(values: Any) -> list[str]:
  """Checks a list of at most `MAX_NAMES` distinct texts."""
  if not isinstance(values, list | tuple) or len(values) > MAX_NAMES:
    raise ValueError(
      f'{str(values)[:40]!r} is no list of at most {MAX_NAMES} names'
    )
  found = [text(value) for value in values]
  if len(set(found)) != len(found):
    raise ValueError('a name is repeated')
  return found


def sizes(values: Any) -> tuple[int, ...]:
  """Checks a list of one to four sizes, each in [1, `MAX_SIZE`]."""
  good = isinstance(values, list) and 1 <= len(values) <= 4
  if not good or any(
    isinstance(v, bool) or not isinstance(v, int) or not 1 <= v <= MAX_SIZE
    for v in values
  ):
    raise ValueError(
      f'{str(values)[:60]} are not 1 to 4 sizes in [1, {MAX_SIZE}]'
    )
  return tuple(values)


def options(values: Any) -> generator.Options:
  """Checks options of a network by name: numbers, texts, lists of sizes.

  A longer list than four sizes is cut to `MAX_SIZES` values and one more, and
  not checked: no network takes so many.
  """
  if len(values) > MAX_OPTIONS:
    raise ValueError('too many options')
  plain: dict[str, Any] = {}
  for name, value in values.items():
    if not re.fullmatch(r'[a-z_]{1,40}', name):
      raise ValueError(f'option {name[:40]!r} is not a name in lower case')
    if isinstance(value, list):
      value = (
        sizes(value) if 1 <= len(value) <= 4 else tuple(value[: MAX_SIZES + 1])
      )
    elif not isinstance(value, bool | int | float | str):
      raise ValueError(f'option {name!r} is neither number nor text')
    plain[name] = text(value) if isinstance(value, str) else value
  return generator.freeze(plain)
