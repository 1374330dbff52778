"""Forgets compiled programs before a process has too many of them."""

import pathlib

import jax

# Of the memory maps that Linux grants a process.
_SHARE = 0.75
_MAPS = pathlib.Path('/proc/self/maps')
_LIMIT = pathlib.Path('/proc/sys/vm/max_map_count')


def forget_many(
  maps: pathlib.Path = _MAPS, limit: pathlib.Path = _LIMIT
) -> bool:
  """Forgets all compiled programs if they are many.

  JAX keeps programs as long as a process lives. On a CPU a program of a
  training takes one or two thousand memory maps. When a process has more maps
  than `vm.max_map_count`, usually 65,530, compilation fails and the process
  crashes. What is needed again is compiled again.

  Args:
    maps: file with a line for each memory map of this process.
    limit: file with the number of maps that it may have.

  Returns:
    Whether programs were forgotten. It is False where there are no such files.
  """
  try:
    with maps.open('rb') as file:
      count = sum(1 for _ in file)
    most = int(limit.read_text())
  except (OSError, ValueError):
    return False
  if count <= _SHARE * most:
    return False
  jax.clear_caches()
  return True
