"""Checks that a configuration has the fields of the defaults.

A configuration is a program of the user, which may return anything.
"""

import json
import numbers
from typing import Any

from ml_collections import config_dict

from coalesce_jax.pipeline import defaults

_ADVICE = 'start from coalesce_jax.pipeline.defaults.get_config()'
# What stands for a default of each type. A bool is a number for Python.
_TYPES: dict[type, tuple[Any, str]] = {
  bool: (bool, 'true or false'),
  int: (numbers.Integral, 'a whole number'),
  float: (numbers.Real, 'a number'),
  str: (str, 'a text'),
  tuple: ((tuple, list), 'a tuple'),
}


def check(config: Any) -> None:
  """Checks that every field of the defaults is there, of the same type.

  A configuration may have more fields, whose values can be written as JSON.

  Raises:
    ValueError: one line with the field.
  """
  like(config, defaults.get_config(), _ADVICE)
  if 'options' in config.network:
    _section(config.network.options, 'network.options', _ADVICE)


def like(config: Any, wanted: config_dict.ConfigDict, advice: str) -> None:
  """Checks that every field is there, of the same type.

  Args:
    config: the configuration. It may have more fields, whose values can be
      written as JSON.
    wanted: the fields.
    advice: what the messages tell to do.

  Raises:
    ValueError: one line with the field.
  """
  _check(config, wanted, '', advice)
  for name, value in config.to_dict().items():
    try:
      json.dumps(value, default=_number)
    except (TypeError, ValueError):
      raise ValueError(
        f'field {name} of the configuration: {value!r:.80} is not made of '
        'numbers, texts, tuples and sections'
      ) from None


def positive(config: Any, *names: str) -> None:
  """Checks that fields are at least 1.

  Args:
    config: the configuration.
    *names: of its fields, whose values are numbers.

  Raises:
    ValueError: one line with the field.
  """
  for name in names:
    if config[name] < 1:
      raise ValueError(f'{name} {config[name]} is below 1')


def _check(
  config: Any, wanted: config_dict.ConfigDict, where: str, advice: str
) -> None:
  _section(config, where, advice)
  for name in wanted:
    path = f'{where}.{name}' if where else name
    if name not in config:
      raise ValueError(f'no field {path} in the configuration; {advice}')
    value, default = config[name], wanted[name]
    if isinstance(default, config_dict.ConfigDict):
      _check(value, default, path, advice)
      continue
    kind, text = _TYPES[type(default)]
    switch = isinstance(value, bool) and not isinstance(default, bool)
    if switch or not isinstance(value, kind):
      raise ValueError(
        f'field {path} of the configuration: {value!r:.80} is not {text}'
      )


def _section(config: Any, where: str, advice: str) -> None:
  if not isinstance(config, config_dict.ConfigDict):
    what = f'field {where} of the configuration' if where else 'configuration'
    raise ValueError(
      f'{what}: {config!r:.80} is no ConfigDict of ml_collections; {advice}'
    )


def _number(value: Any) -> float:
  if isinstance(value, numbers.Real):
    return float(value)
  raise TypeError
