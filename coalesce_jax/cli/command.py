"""Describes a subcommand by its help, its flags and the function that runs."""

from collections.abc import Callable
import importlib
from typing import Any, NamedTuple

from absl import flags
from ml_collections import config_dict

Stop = Callable[[], bool]
Values = flags.FlagValues


class Command(NamedTuple):
  """A subcommand.

  Attributes:
    help: a description in one line.
    define: defines its flags. It needs no JAX.
    run: ``(flag values, stop) -> result``, which is printed as one JSON line.
    required: names of the flags that must be given.
    examples: command lines that its help shows, without the program's name.
    jax: whether it computes with JAX, whose devices are then taken.
    positional: flag that an argument without a name stands for; '' is none.
  """

  help: str
  define: Callable[[Values], None]
  run: Callable[[Values, Stop], dict[str, Any]]
  required: tuple[str, ...] = ()
  examples: tuple[str, ...] = ()
  jax: bool = True
  positional: str = ''


def later(module: str, name: str) -> Callable[[Values, Stop], dict[str, Any]]:
  """Returns a function that is imported when it is called.

  Args:
    module: module of `coalesce_jax.cli`.
    name: name of the function.
  """

  def run(values: Values, stop: Stop) -> dict[str, Any]:
    home = importlib.import_module(f'coalesce_jax.cli.{module}')
    return getattr(home, name)(values, stop)

  return run


def missing(values: Values, command: Command) -> str | None:
  """Returns what to say of the first required flag that is not given.

  A configuration that is none counts as not given.

  Args:
    values: the flags.
    command: the command.

  Raises:
    OSError: a configuration file cannot be read.
  """
  for name in command.required:
    value = values[name].value
    # A configuration that could not be read raises here what went wrong.
    getattr(value, 'items', None)
    if value is None or isinstance(value, str | list) and not value:
      return f'--{name} is missing: {values[name].help}'
    if name == 'config' and not isinstance(value, config_dict.ConfigDict):
      return (
        f'--config: get_config returns {value!r:.80}, which is no ConfigDict '
        'of ml_collections'
      )
  return None
