"""Mean and deviation of a score over seeds, for tables."""

from collections.abc import Sequence

import numpy as np


def deviation(values: Sequence[float]) -> float:
  """Standard deviation of a sample; 0 of a single value."""
  return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def text(values: Sequence[float], digits: int = 1) -> str:
  """Writes '32.0 ± 2.8', mean and deviation."""
  return f'{np.mean(values):.{digits}f} ± {deviation(values):.{digits}f}'
