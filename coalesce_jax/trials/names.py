"""Names and sizes in the settings of experiments."""

from typing import Any


def word(text: str) -> str:
  """Makes of a text, a data set or a split, a part of a trial's name."""
  return ''.join(c if c.isalnum() or c in '_-' else '-' for c in text)


def sizes(name: str, values: Any) -> list[int]:
  """Reads one size or several, from flags that read '2' as a number.

  Args:
    name: of the field, for the message.
    values: one whole number, or several.

  Raises:
    ValueError: one of them is no whole number of at least 1, or there is none.
  """
  sizes = [values] if isinstance(values, int) else list(values)
  if not sizes or any(not isinstance(v, int) or v < 1 for v in sizes):
    raise ValueError(f'{name} {sizes} are not whole numbers of at least 1')
  return sizes
