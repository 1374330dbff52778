"""Checks that the reference names everything that is public.

It also leaves out what autodoc would say of the fields of named tuples, which
their docstrings describe already.
"""

import importlib
import inspect
from typing import Any

from sphinx.util import logging

import coalesce_jax

_LOGGER = logging.getLogger(__name__)


def missing(documented: set[str], modules: list[str]) -> list[str]:
  """Returns the public names that are not documented.

  Args:
    documented: full names that have an entry.
    modules: modules whose own public functions and classes need one.
  """
  wanted = [f'coalesce_jax.{name}' for name in coalesce_jax.__all__]
  for path in modules:
    module = importlib.import_module(path)
    for name, value in vars(module).items():
      own = getattr(value, '__module__', None) == path
      kind = inspect.isfunction(value) or inspect.isclass(value)
      if own and kind and not name.startswith('_'):
        wanted.append(f'{path}.{name}')
  return sorted(set(wanted) - documented)


def setup(app: Any) -> dict[str, bool]:
  """Registers the extension with Sphinx."""

  def check(app: Any, env: Any) -> None:
    del app
    objects = env.domains['py'].objects
    modules = [n for n, entry in objects.items() if entry.objtype == 'module']
    for name in missing(set(objects), modules):
      _LOGGER.warning('%s is public, and the reference lacks it', name)

  def skip(app, what, name, obj, skipped, options):
    del app, what, name, options
    return True if type(obj).__name__ == '_tuplegetter' else skipped

  app.connect('env-check-consistency', check)
  app.connect('autodoc-skip-member', skip)
  return {'parallel_read_safe': True, 'parallel_write_safe': True}
