"""Converts numbers of callers to float64, if they are real numbers."""

from typing import Any

import numpy as np


def convert(values: Any, name: str) -> np.ndarray:
  """Returns real numbers as a float64 array.

  Args:
    values: an array, or nested sequences of numbers.
    name: name of the argument, for messages.

  Raises:
    ValueError: the values are not numbers, are complex or masked, or rows
      differ in length. The message is one line that starts with `name`.
  """
  if np.ma.is_masked(values):
    raise ValueError(f'{name}: values are masked; pass only those that count')
  try:
    found = np.asarray(values)
    if found.dtype.kind != 'c':
      return np.asarray(found, np.float64)
  # Arrays of other libraries raise errors of their own.
  except Exception as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(f'{name}: not an array of numbers ({reason})') from error
  raise ValueError(f'{name}: complex numbers, not real ones')
