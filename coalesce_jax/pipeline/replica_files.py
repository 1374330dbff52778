"""Names the files of the replicas of a run.

Shapes: S replicas.
"""

import os

from coalesce_jax.core import replacing


def paths(path: str, count: int) -> list[str]:
  """Returns the file of each replica: those after the first get '_s1', '_s2'.

  Args:
    path: file of the first one, a bundle.
    count: S.

  Raises:
    ValueError: a file is there that no bundle may replace.
  """
  stem, ending = os.path.splitext(path)
  found = [path, *(f'{stem}_s{s}{ending}' for s in range(1, count))]
  for each in found:
    replacing.check_file(each, replacing.BUNDLE)
  return found
