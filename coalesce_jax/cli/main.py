"""Runs the `coalesce` command: one subcommand for each stage, with absl flags.

Every subcommand writes its results atomically, logs to stderr and ends with one
JSON line on stdout. `boundary` lists the exit codes. JAX is imported when a
command with valid flags begins, so that help and usage errors come at once.
"""

from collections.abc import Sequence
import contextlib
import difflib

from absl import flags
from absl import logging

from coalesce_jax.cli import boundary
from coalesce_jax.cli import commands
from coalesce_jax.cli import completion
from coalesce_jax.cli import start
from coalesce_jax.cli.command import Command
from coalesce_jax.cli.command import missing
from coalesce_jax.cli.definitions import kinds
from coalesce_jax.core import errors
from coalesce_jax.core import signals
from coalesce_jax.core.version import VERSION

_HELP = ('--help', '-help', '-h', '--helpfull', '--helpshort')
# The same flags for all commands.
_GENERAL = ('devices', 'traceback', 'verbosity')


def main(argv: Sequence[str]) -> int:
  """Runs a subcommand.

  Args:
    argv: program name, subcommand, flags.

  Returns:
    The exit code, see `boundary`.
  """
  table = commands.TABLE
  name = argv[1] if len(argv) > 1 else '--help'
  if name in (*_HELP, 'help'):
    found, _ = commands.find(argv[2:])
    if found in table:
      return execute(f'coalesce {found}', table[found], ['--help'])
    return boundary.show(_usage(table))
  if name in ('--version', 'version'):
    return boundary.show(f'coalesce_jax {VERSION}')
  if name == 'completion':
    return completion.run(argv[2:], table)
  name, arguments = commands.find(argv[1:])
  if name not in table:
    within = [n for n in table if n.startswith(f'{name.split()[0]} ')]
    if within and set(argv[2:3]) & set(_HELP):
      return boundary.show(_usage({n: table[n] for n in within}))
    names = within or list(table)
    near = difflib.get_close_matches(name, names, 1)
    hint = f'did you mean {near[0]}?' if near else f'one of {", ".join(names)}'
    return boundary.refuse(f'coalesce: unknown command {name!r}; {hint}')
  return execute(f'coalesce {name}', table[name], arguments)


def execute(program: str, command: Command, arguments: Sequence[str]) -> int:
  """Parses flags, runs a command and prints its JSON line.

  Args:
    program: name of the program, for messages.
    command: the command.
    arguments: its flags.

  Returns:
    The exit code, see `boundary`.
  """
  values = flags.FlagValues()
  start.log(0)
  try:
    # This loads a configuration that is a default, with its overrides.
    define(command, values)
  except (Exception, SystemExit) as error:
    return _refuse_config(program, error)
  if any(argument in _HELP for argument in arguments):
    return boundary.show(_help(program, command, values))
  try:
    rest = values([program, *_named(arguments, command.positional)])
  except flags.Error as error:
    return boundary.refuse(f'{program}: {_usage_error(error)}')
  except (Exception, SystemExit) as error:
    # Configuration files are programs, which raise whatever they like.
    return _refuse_config(program, error)
  if len(rest) > 1:
    return boundary.refuse(
      f'{program}: unexpected argument {rest[1]!r}; a flag is --name=value, '
      'several values are separated by commas without spaces'
    )
  start.log(values.verbosity)
  try:
    wanted = missing(values, command)
  except OSError as error:
    return boundary.refuse(f'{program}: {_config_error(error)}')
  if wanted is not None:
    return boundary.refuse(f'{program}: {wanted}')

  def run() -> None:
    tell = lambda text: boundary.say(f'{program}: {text}')
    with signals.catch(tell) as stop:
      with contextlib.ExitStack() as stack:
        if command.jax:
          logging.info('%s: starting', program)
          start.cache()
          stack.enter_context(start.devices(values.devices))
        try:
          result = command.run(values, stop)
        except errors.Interrupted as error:
          error.number = next(iter(stop.numbers), None)
          raise
    boundary.result(result)

  return boundary.guard(program, run, traces=values.traceback)


def _refuse_config(program: str, error: BaseException) -> int:
  """Says why a configuration, or a value of its fields, cannot be read."""
  said = boundary.line(error)
  if isinstance(error, AttributeError | KeyError):
    said = 'no such field, ' + said.strip('"\'')
  return boundary.refuse(f'{program}: --config: {said}')


def _named(arguments: Sequence[str], flag: str) -> list[str]:
  """Gives the first argument without a name the name of a flag."""
  found = list(arguments)
  if flag and found and not found[0].startswith('-'):
    found[0] = f'--{flag}={found[0]}'
  return found


def define(command: Command, values: flags.FlagValues) -> None:
  """Defines the flags of a command and those that all commands have.

  Args:
    command: the command.
    values: where to define them.
  """
  kinds.count(
    values, 'verbosity', 0, 'Log level: -1 warnings, 0 info, 1 debug.', -3, 3
  )
  kinds.switch(values, 'traceback', 'Show where an error was raised.')
  kinds.count(
    values, 'devices', 1, 'Devices of JAX that share each game; '
    'JAX_NUM_CPU_DEVICES makes devices of the cores of a CPU.', 1, 65536,
  )  # fmt: skip
  command.define(values)


def _usage_error(error: flags.Error) -> str:
  """Returns the message of absl, without the traceback of a configuration."""
  text = str(error)
  marker = 'Error whilst parsing config file:'
  if marker not in text:
    return boundary.line(error)
  where = text[: text.index(marker)].strip().rstrip(':')
  reason = [row for row in text.splitlines() if row.strip()][-1]
  return f'{where}: {reason.split(": ", 1)[-1]}'.removeprefix('flag ')


def _config_error(error: OSError) -> str:
  """Returns why a configuration file cannot be read."""
  lines = [row.strip() for row in str(error).splitlines() if row.strip()]
  return f'--config: {lines[-1].split("] ", 1)[-1]}' + (
    '; a configuration is a Python file with `get_config`, such as '
    'experiments/coalesce/configs/digits.py'
  )


def _help(program: str, command: Command, values: flags.FlagValues) -> str:
  rows = [f'{program}: {command.help}', '']
  name = program.split()[0]
  rows += [f'  {name} {line}' for line in command.examples]
  rows += [''] if command.examples else []
  for general in (False, True):
    if general:
      rows += ['', 'flags of every command:']
    for flag_name in sorted(values):
      if (flag_name in _GENERAL) == general:
        rows.append(_flag_help(values[flag_name], flag_name, command))
  return '\n'.join(rows)


def _flag_help(flag: flags.Flag, name: str, command: Command) -> str:
  if name in command.required and flag.default is None:
    note = ' (required)'
  else:
    note = '' if flag.default is None else f' [{flag.default}]'
  choices = getattr(flag.parser, 'enum_values', None)
  among = f' One of {", ".join(choices)}.' if choices else ''
  return f'  --{name}: {flag.help}{among}{note}'


def _usage(table: dict[str, Command]) -> str:
  rows = [f'  {name:<18} {command.help}' for name, command in table.items()]
  return '\n'.join(
    [
      'usage: coalesce COMMAND [--flags]; coalesce COMMAND --help',
      '',
      *rows,
      f'  {"completion":<18} prints completion of commands for a shell',
      '',
      'coalesce --version prints the version.',
    ]
  )
