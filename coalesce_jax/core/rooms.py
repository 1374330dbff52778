"""Lets a package import its modules when they are first named."""

from collections.abc import Callable
import importlib
import importlib.util
from typing import Any


def submodules(package: str) -> Callable[[str], Any]:
  """Returns a `__getattr__` that imports modules of a package by name.

  Args:
    package: full name of the package.
  """

  def find(name: str) -> Any:
    path = f'{package}.{name}'
    if name.startswith('_') or importlib.util.find_spec(path) is None:
      raise AttributeError(f'module {package!r} has no attribute {name!r}')
    return importlib.import_module(path)

  return find
