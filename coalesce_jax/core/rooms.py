"""Lets a package import its modules when they are first named."""

from collections.abc import Callable, Mapping
import importlib
import importlib.util
from typing import Any


def submodules(
  package: str, homes: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
  """Returns a `__getattr__` that imports modules of a package by name.

  Args:
    package: full name of the package.
    homes: names that the package offers itself, each with the module that
      defines it.
  """
  offered = homes or {}

  def find(name: str) -> Any:
    if name in offered:
      home = importlib.import_module(f'{package}.{offered[name]}')
      return getattr(home, name)
    path = f'{package}.{name}'
    if name.startswith('_') or importlib.util.find_spec(path) is None:
      raise AttributeError(f'module {package!r} has no attribute {name!r}')
    return importlib.import_module(path)

  return find
