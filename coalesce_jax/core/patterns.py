"""Regular expressions that select leaves by their names. It needs no JAX."""

from collections.abc import Iterable
import re


def check(patterns: Iterable[str], what: str) -> None:
  """Checks that texts are regular expressions.

  Args:
    patterns: the texts.
    what: the setting that holds them, for the message.

  Raises:
    ValueError: a text is no regular expression.
  """
  for pattern in patterns:
    if not isinstance(pattern, str):
      raise ValueError(f'{what}: {pattern!r} is not a text')
    try:
      re.compile(pattern)
    except re.error as error:
      raise ValueError(
        f'{what}: {pattern!r} is no regular expression ({error})'
      ) from None
