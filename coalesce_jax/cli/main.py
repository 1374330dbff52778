"""Runs the `coalesce` command: one subcommand for each stage, with absl flags.

Every subcommand writes its results atomically, logs to stderr and ends with one
JSON line on stdout. It exits with 0 on success and with 1 on a fault or a stop
request. On bad usage or input it exits with 2 and one line that says what is
wrong and where.
"""

from collections.abc import Sequence
import json
import math
import sys
from typing import Any

from absl import flags
from absl import logging
import jax

from coalesce_jax.cli import commands
from coalesce_jax.cli.common import Command
from coalesce_jax.core import signals
from coalesce_jax.parallel import mesh
from coalesce_jax.training import loop


def main(argv: Sequence[str]) -> int:
  """Runs a subcommand.

  Args:
    argv: program name, subcommand, flags.

  Returns:
    The exit code.
  """
  table = commands.TABLE
  name = argv[1] if len(argv) > 1 else '--help'
  if name in ('--help', '-h', 'help', '--helpfull'):
    print(_usage(table))
    return 0
  if name not in table:
    names = ', '.join(table)
    return _refuse(f'coalesce: unknown command {name!r}; one of {names}')
  return execute(f'coalesce {name}', table[name], argv[2:])


def execute(program: str, command: Command, arguments: Sequence[str]) -> int:
  """Parses flags, runs a command and prints its JSON line.

  Args:
    program: name of the program, for messages.
    command: the command.
    arguments: its flags.

  Returns:
    The exit code.
  """
  values = flags.FlagValues()
  flags.DEFINE_integer(
    'verbosity', 0, 'Log level: -1 warnings, 0 info, 1 debug.',
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_bool(
    'traceback', False, 'Show where an error was raised.', flag_values=values
  )
  flags.DEFINE_integer(
    'devices', 1, 'Devices of JAX that share each game; JAX_NUM_CPU_DEVICES '
    'makes devices of the cores of a CPU.',
    lower_bound=1, flag_values=values,
  )  # fmt: skip
  try:
    # This loads a configuration that is a default, with its overrides.
    command.define(values)
  except (AttributeError, KeyError) as error:
    return _refuse(f'{program}: --config: no such field, {_line(error)}')
  if any(a in ('--help', '-help', '-h', '--helpfull') for a in arguments):
    print(_help(program, command, values))
    return 0
  try:
    rest = values([program, *arguments])
    if len(rest) > 1:
      return _refuse(f'{program}: unexpected argument {rest[1]!r}')
  except flags.Error as error:
    return _refuse(f'{program}: {_line(error)}')
  except (ValueError, OSError, ImportError, KeyError, AttributeError) as error:
    return _refuse(f'{program}: --config: {_line(error)}')
  logging.use_absl_handler()
  logging.set_verbosity(values.verbosity)
  logging.set_stderrthreshold('info')
  return _run(program, command, values)


def _run(program: str, command: Command, values: flags.FlagValues) -> int:
  try:
    with signals.catch() as stop, mesh.use(_devices(values.devices)):
      result = command.run(values, stop)
  except loop.Interrupted as error:
    print(
      f'{program}: stopped, {error}; the same command with the same '
      '--workdir goes on from there',
      file=sys.stderr,
    )
    return 1
  except loop.Diverged as error:
    print(f'{program}: diverged: {_line(error)}', file=sys.stderr)
    return 1
  except (ValueError, OSError) as error:
    if values.traceback:
      raise
    return _refuse(f'{program}: {_line(error)}')
  print(json.dumps(_defined(result)))
  return 0


def _defined(value: Any) -> Any:
  """Replaces numbers that are not finite, which JSON lacks, by None."""
  if isinstance(value, dict):
    return {name: _defined(item) for name, item in value.items()}
  if isinstance(value, list | tuple):
    return [_defined(item) for item in value]
  return (
    None if isinstance(value, float) and not math.isfinite(value) else value
  )


def _devices(count: int) -> list[jax.Device]:
  if count == 1:
    return []
  devices = jax.devices()
  if count > len(devices):
    raise ValueError(
      f'--devices={count}: JAX has {len(devices)} of {devices[0].platform}; '
      f'the cores of a CPU are devices with JAX_NUM_CPU_DEVICES={count}'
    )
  return devices[:count]


def _refuse(text: str) -> int:
  print(text, file=sys.stderr)
  return 2


def _line(error: BaseException) -> str:
  if isinstance(error, OSError) and error.filename is not None:
    return f'{error.filename}: {error.strerror}'
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  return ' '.join(lines)[:500] or type(error).__name__


def _help(program: str, command: Command, values: flags.FlagValues) -> str:
  rows = [f'{program}: {command.help}', '']
  for flag_name in sorted(values):
    flag = values[flag_name]
    default = '' if flag.default is None else f' [{flag.default}]'
    rows.append(f'  --{flag_name}: {flag.help}{default}')
  return '\n'.join(rows)


def _usage(table: dict[str, Command]) -> str:
  rows = [f'  {name:<11} {command.help}' for name, command in table.items()]
  return '\n'.join(
    [
      'usage: coalesce COMMAND [--flags]; coalesce COMMAND --help',
      '',
      *rows,
    ]
  )


def main_console() -> None:
  """Runs the `coalesce` script."""
  sys.exit(main(sys.argv))
