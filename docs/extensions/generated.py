"""Writes parts of the reference from the program itself.

A page holds a marker, such as `<!-- generated: commands -->`. While Sphinx
reads the page, the text made here takes the place of the marker.
"""

from collections.abc import Iterable
import inspect
import io
import pathlib
import re
import textwrap
import tokenize
from typing import Any

from absl import flags

import coalesce_jax
from coalesce_jax.cli import commands as commands_lib
from coalesce_jax.cli import main as main_lib
from coalesce_jax.cli.command import Command
from coalesce_jax.cli.definitions import training
from coalesce_jax.gan import config as game_lib
from coalesce_jax.methods import settings
from coalesce_jax.pipeline import defaults
from coalesce_jax.runs import columns
from coalesce_jax.training import schedules
from coalesce_jax.transforms import ternary_config

_MARKER = re.compile(r'^<!-- generated: (\w+) -->$', re.MULTILINE)
# Folders of the package that generated parts are read from.
_ROOMS = ('cli', 'gan', 'methods', 'pipeline', 'runs', 'transforms')
# Classes whose docstrings describe the fields of a section of a configuration.
_DESCRIBED: dict[str, tuple[type, ...]] = {
  'game': (game_lib.Config,),
  'pretrain': (settings.Pretraining, schedules.Schedule),
  'barycenter': (settings.Barycenter, schedules.Schedule),
  'adapt': (settings.FineTuning, schedules.Schedule, game_lib.Config),
  'transfer': (settings.FineTuning,),
  'ternary': (
    ternary_config.Ternary,
    settings.FineTuning,
    schedules.Schedule,
    game_lib.Config,
  ),
}


def commands() -> str:
  """Returns a section for each command: its help, examples and flags."""
  return '\n'.join(
    _command(name, command) for name, command in commands_lib.TABLE.items()
  )


def configuration() -> str:
  """Returns a table for each section of the configuration."""
  config = defaults.get_config()
  comments = _comments(inspect.getsource(defaults.get_config))
  single = [k for k in config if not hasattr(config[k], 'items')]
  parts = ['## The run\n', _fields('', single, config, comments)]
  for name in config:
    if name in single:
      continue
    parts.append(f'## `{name}`\n')
    if (name,) in comments:
      parts.append(_sentence(comments[(name,)]) + '\n')
    parts.append(_fields(name, list(config[name]), config[name], comments))
  return '\n'.join(parts)


def scores() -> str:
  """Returns a table of the scores: name, best value and meaning."""
  rows = ['| score | best | meaning |', '|---|---|---|']
  for column in columns.COLUMNS:
    same = column.heading.lower() == column.key
    heading = '' if same else f' ({column.heading})'
    rows.append(
      f'| `{column.key}`{heading} | {column.best} | {_cell(column.meaning)} |'
    )
  return '\n'.join(rows)


def methods() -> str:
  """Returns a table of the rows of a report."""
  rows = ['| row | meaning |', '|---|---|']
  rows += [f'| `{k}` | {_cell(v)} |' for k, v in columns.METHODS.items()]
  return '\n'.join(rows)


def _command(name: str, command: Command) -> str:
  values = flags.FlagValues()
  main_lib.define(command, values)
  rows = [f'## `coalesce {name}`', '', f'{_sentence(command.help)}', '']
  if command.examples:
    lines = '\n'.join(f'coalesce {line}' for line in command.examples)
    rows += [f'```console\n{lines}\n```', '']
  for title, names in _groups(command, values):
    rows += [f'{title}:', '', '| flag | what it sets | default |']
    rows.append('|---|---|---|')
    rows += [_flag(values[n]) for n in names]
    rows.append('')
  return '\n'.join(rows)


def _groups(
  command: Command, values: flags.FlagValues
) -> Iterable[tuple[str, list[str]]]:
  """Yields titles and names of flags, each flag once."""
  every, trains, shapes = (flags.FlagValues() for _ in range(3))
  main_lib.define(Command('', lambda _: None, command.run), every)
  training.training(trains, settings.Pretraining())
  training.image_shape(shapes)
  general, learning, shape = set(every), set(trains), set(shapes)
  if not learning <= set(values):
    learning = set()
  left = [n for n in values if n not in command.required]
  yield from (
    (title, names)
    for title, names in (
      ('Required', list(command.required)),
      (
        'Of this command',
        sorted(set(left) - general - learning - shape),
      ),
      ('Shape of the images', sorted(set(left) & shape)),
      ('Training', sorted(set(left) & learning)),
      ('Of every command', sorted(set(left) & general)),
    )
    if names
  )


def _flag(flag: flags.Flag) -> str:
  choices = getattr(flag.parser, 'enum_values', None)
  # absl puts the choices of an enumeration before its help.
  text = re.sub(r'^<[^>]*>:\s*', '', ' '.join(flag.help.split()))
  if choices:
    text += ' One of ' + ', '.join(f'`{c}`' for c in choices) + '.'
  default = '' if flag.default is None else f'`{_shown(flag.default)}`'
  return f'| `--{flag.name}` | {_cell(text)} | {_cell(default)} |'


def _fields(section: str, names: list[str], values: Any, comments: dict) -> str:
  rows = ['| field | default | what it sets |', '|---|---|---|']
  for name in names:
    path = (section, name) if section else (name,)
    text = comments.get(path) or _described(section, name)
    flag = '.'.join(path)
    value = values[name]
    value = value.to_dict() if hasattr(value, 'to_dict') else value
    shown = f'`{_shown(value)}`'
    rows.append(f'| `{flag}` | {_cell(shown)} | {_cell(_sentence(text))} |')
  return '\n'.join(rows) + '\n'


def _described(section: str, name: str) -> str:
  """Returns what the settings of a stage say of a field, '' for nothing."""
  for home in _DESCRIBED.get(section, ()):
    found = attributes(home).get(name)
    if found:
      return found
  return ''


def attributes(home: type) -> dict[str, str]:
  """Returns the descriptions of the attributes of a class, by name."""
  text = inspect.getdoc(home) or ''
  _, _, after = text.partition('Attributes:\n')
  block = re.split(r'^\S', after, maxsplit=1, flags=re.MULTILINE)[0]
  found = re.split(r'^(\w+): ', textwrap.dedent(block), flags=re.MULTILINE)
  pairs = zip(found[1::2], found[2::2], strict=True)
  return {name: ' '.join(text.split()) for name, text in pairs}


def _comments(source: str) -> dict[tuple[str, ...], str]:
  """Returns the comments above the keys of nested dictionaries, by path."""
  found: dict[tuple[str, ...], str] = {}
  lines: list[str] = []
  path: list[str] = []
  last = ''
  tokens = tokenize.generate_tokens(io.StringIO(source).readline)
  for token in tokens:
    if token.type == tokenize.COMMENT and not token.string.startswith('# fmt'):
      lines.append(token.string.lstrip('# '))
    elif token.type == tokenize.STRING:
      last = token.string.strip('\'"')
    elif token.string == ':' and last:
      if lines:
        found[tuple(p for p in (*path, last) if p)] = ' '.join(lines)
        lines = []
    elif token.string == '{':
      path.append(last)
    elif token.string == '}':
      path.pop()
    if token.type not in (
      tokenize.STRING, tokenize.COMMENT, tokenize.NL, tokenize.OP
    ):  # fmt: skip
      last = ''
  return found


def _shown(value: Any) -> str:
  return value if isinstance(value, str) and value else repr(value)


def _sentence(text: str) -> str:
  text = text.strip().rstrip('.')
  return f'{text[:1].upper()}{text[1:]}.' if text else ''


def _cell(text: str) -> str:
  return text.replace('|', r'\|')


def notebooks() -> str:
  """Returns the table of contents of the notebooks, '' if there are none."""
  folder = pathlib.Path(__file__).resolve().parents[1] / 'notebooks'
  if not any(folder.glob('*.ipynb')):
    return ''
  options = ':hidden:\n:glob:\n:caption: Notebooks'
  return f'```{{toctree}}\n{options}\nnotebooks/*\n```'


PAGES = {
  'commands': commands,
  'configuration': configuration,
  'methods': methods,
  'notebooks': notebooks,
  'scores': scores,
}


def fill(text: str) -> str:
  """Replaces the markers of a page by what they stand for."""
  return _MARKER.sub(lambda match: PAGES[match.group(1)](), text)


def setup(app: Any) -> dict[str, bool]:
  """Registers the extension with Sphinx."""

  def read(app: Any, docname: str, content: list[str]) -> None:
    filled = fill(content[0])
    if filled != content[0]:
      # The page is read again when the program has changed.
      home = pathlib.Path(coalesce_jax.__file__).parent
      for room in _ROOMS:
        for path in home.joinpath(room).rglob('*.py'):
          app.env.note_dependency(str(path), docname=docname)
    run = docname.removeprefix('results/').rpartition('/')[0]
    if docname.startswith('results/') and run:
      # Pages of tables come from experiments, which title them all the same.
      _, title, below = re.match(r'(# (.*)\n)?(?s:(.*))', filled).groups()
      filled = f'# Tables of {run}\n\n{f"{title}." if title else ""}\n\n{below}'
    content[0] = filled

  app.connect('source-read', read)
  return {'parallel_read_safe': True, 'parallel_write_safe': True}
