"""Prints a program that completes commands and flags in a shell."""

from collections.abc import Sequence

from absl import flags

from coalesce_jax.cli import boundary
from coalesce_jax.cli.command import Command

SHELLS = ('bash', 'zsh')
_USAGE = 'coalesce completion: name a shell, bash or zsh'

_BASH = """\
# eval "$(coalesce completion bash)"
_coalesce() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} words=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='{names}'
  else
    case ${{COMP_WORDS[1]}} in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [ ${{#COMPREPLY[@]}} -eq 0 ] && [ "$COMP_CWORD" -gt 1 ]; then
    case $cur in --*) ;; *) COMPREPLY=($(compgen -f -- "$cur")) ;; esac
  fi
  case ${{COMPREPLY[0]}} in *=) compopt -o nospace 2>/dev/null ;; esac
}}
complete -o default -F _coalesce coalesce
"""


def run(arguments: Sequence[str], table: dict[str, Command]) -> int:
  """Prints the program of a shell and returns the exit code.

  Args:
    arguments: the name of a shell, one of `SHELLS`.
    table: the commands.
  """
  if len(arguments) != 1 or arguments[0].removeprefix('--shell=') not in SHELLS:
    return boundary.refuse(_USAGE)
  shell = arguments[0].removeprefix('--shell=')
  firsts = list(dict.fromkeys(name.split()[0] for name in table))
  cases = '\n'.join(_case(first, table) for first in firsts)
  text = _BASH.format(names=' '.join([*firsts, 'completion']), cases=cases)
  if shell == 'zsh':
    text = 'autoload -U +X bashcompinit && bashcompinit\n' + text
  return boundary.show(text.rstrip('\n'))


def _case(first: str, table: dict[str, Command]) -> str:
  """Returns the words after a first word: flags, or second words first."""
  if first in table:
    return f"      {first}) words='{' '.join(_flags(table[first]))}' ;;"
  group = {
    name.split()[1]: command
    for name, command in table.items()
    if name.startswith(f'{first} ')
  }
  rows = [
    f'      {first})',
    '        if [ "$COMP_CWORD" -eq 2 ]; then',
    f"          words='{' '.join(group)}'",
    '        else',
    '          case ${COMP_WORDS[2]} in',
    *(
      f"            {name}) words='{' '.join(_flags(command))}' ;;"
      for name, command in group.items()
    ),
    '          esac',
    '        fi ;;',
  ]
  return '\n'.join(rows)


def _flags(command: Command) -> list[str]:
  values = flags.FlagValues()
  command.define(values)
  return [
    f'--{name}' if values[name].boolean else f'--{name}='
    for name in sorted(values)
  ]
