"""The pages of the documentation: links, commands, and generated parts."""

import importlib.util
import os
import pathlib
import re

from absl import flags
import pytest

from coalesce_jax.cli import commands
from coalesce_jax.cli import completion
from coalesce_jax.cli import main as main_lib
from coalesce_jax.pipeline import defaults
from coalesce_jax.runs import columns

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = sorted(
  path
  for path in [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    *(ROOT / 'docs').rglob('*.md'),
  ]
  if '_build' not in path.parts
)
_LINK = re.compile(r'\]\(([^()\s]+)\)')
_CODE = re.compile(r'^```.*?^```', re.MULTILINE | re.DOTALL)
# A command at the start of a line or of code, perhaps behind a variable.
_COMMAND = re.compile(
  r'(?:^\s*|`)(?:[A-Z_]+=\S+ )*coalesce ([a-z]\w*)([^`\n]*)', re.MULTILINE
)
_MODULE = re.compile(r'python -m ((?:experiments|launch)\.[\w.]+)')


def name(path):
  return os.path.relpath(path, ROOT)


def anchors(path):
  """Anchors of the headings of a page, as GitHub and the site make them."""
  found = set()
  for line in _CODE.sub('', path.read_text('utf8')).splitlines():
    if re.match(r'#{1,6} ', line):
      text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', line.lstrip('#')).strip()
      text = re.sub(r'[^\w\- ]', '', text.replace('`', '').lower())
      anchor, n = text.replace(' ', '-'), 1
      while anchor in found:
        anchor, n = f'{text.replace(" ", "-")}-{n}', n + 1
      found.add(anchor)
  return found


def broken(path):
  """Relative links of a page that lead nowhere."""
  for link in _LINK.findall(_CODE.sub('', path.read_text('utf8'))):
    if re.match(r'[a-z]+:', link):
      continue
    file, _, anchor = link.partition('#')
    target = (path.parent / file).resolve() if file else path
    if not target.exists():
      yield link
    elif anchor and anchor not in anchors(target):
      yield link


def lines_of(text):
  """Commands of a text and what follows them."""
  for first, rest in _COMMAND.findall(text):
    command, flags_of_command = commands.find([first, *rest.split()])
    yield command, ' ' + ' '.join(flags_of_command)


def flags_of(command):
  values = flags.FlagValues()
  main_lib.define(commands.TABLE[command], values)
  return set(values)


@pytest.fixture(scope='module')
def generated():
  path = ROOT / 'docs' / 'extensions' / 'generated.py'
  spec = importlib.util.spec_from_file_location('generated', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize('path', PAGES, ids=name)
def test_every_relative_link_leads_to_a_file_and_heading(path):
  assert not list(broken(path))


def test_a_link_to_a_heading_that_is_not_there_is_found(tmp_path):
  page = tmp_path / 'page.md'
  page.write_text('# One\n\n[a](#one) [b](#two) [c](page.md#one) [d](no.md)\n')
  assert list(broken(page)) == ['#two', 'no.md']


@pytest.mark.parametrize('path', PAGES, ids=name)
def test_every_command_that_a_page_names_exists(path):
  known = {*commands.TABLE, 'completion'}
  found = {command for command, _ in lines_of(path.read_text('utf8'))}
  # A page may name commands of two words by their first one.
  known |= {command.split()[0] for command in known}
  assert found <= known


@pytest.mark.parametrize('path', PAGES, ids=name)
def test_every_module_that_a_page_runs_exists(path):
  for module in _MODULE.findall(path.read_text('utf8')):
    module = module.rstrip('.')
    assert (ROOT / f'{module.replace(".", "/")}.py').is_file(), module


@pytest.mark.parametrize('path', PAGES, ids=name)
def test_every_flag_of_a_command_line_exists(path):
  text = path.read_text('utf8').replace('\\\n', ' ')
  for command, rest in lines_of(text):
    if command in commands.TABLE:
      given = re.findall(r'(?:^| )--([a-z]\w*)', rest)
      assert set(given) <= flags_of(command) | {'help'}, command


def test_the_reference_has_every_command_with_its_flags(generated):
  text = generated.commands()
  sections = dict(
    re.findall(r'^## `coalesce ([\w ]+)`\n(.*?)(?=^## |\Z)', text, re.M | re.S)
  )
  assert list(sections) == list(commands.TABLE)
  for command, section in sections.items():
    listed = re.findall(r'^\| `--(\w+)` ', section, re.M)
    assert sorted(listed) == sorted(flags_of(command) - {'help'}), command


def test_the_reference_marks_what_is_required_and_shows_choices(generated):
  section = generated.commands().split('## `coalesce adapt`')[1]
  required = section.split('Required:')[1].split('Of this command:')[0]
  assert re.findall(r'`--(\w+)`', required) == ['nodes', 'local', 'out']
  assert re.search(
    r'`--packing` .* One of `2bit`, `trits`\. \| `2bit`', section
  )


def test_the_reference_explains_every_field_of_a_configuration(generated):
  rows = re.findall(
    r'^\| `([\w.]+)` \| (`.*?`) \| (.*) \|$', generated.configuration(), re.M
  )
  config = defaults.get_config()
  wanted = set()
  for key, value in config.items():
    inner = value.keys() if hasattr(value, 'keys') else ()
    wanted |= {f'{key}.{part}' for part in inner} or {key}
  assert {row[0] for row in rows} == wanted
  assert not [field for field, _, text in rows if not text.strip()]
  shown = {field: (default, text) for field, default, text in rows}
  assert shown['seeds'][0] == '`1`'
  assert shown['seeds'][1].startswith('Replicas that are trained as one')
  assert shown['transfer.rate'] == ('`0.1`', 'Factor of the learning rates.')


def test_a_page_gets_its_generated_part(generated):
  page = ROOT / 'docs' / 'reference' / 'commands.md'
  filled = generated.fill(page.read_text('utf8'))
  assert '## `coalesce zoo`' in filled and '<!-- generated' not in filled


def test_the_page_of_commands_names_the_shells_of_completion():
  text = (ROOT / 'docs' / 'reference' / 'commands.md').read_text('utf8')
  assert set(re.findall(r'coalesce completion (\w+)', text)) == set(
    completion.SHELLS
  )


def test_the_page_of_scores_has_every_column_and_row_of_a_report(generated):
  page = ROOT / 'docs' / 'reference' / 'scores.md'
  text = generated.fill(page.read_text('utf8'))
  listed = re.findall(r'^\| `(\w+)`', text, re.M)
  assert {'memorisation', 'copied', 'real', 'w1_real', 'adapted'} <= set(listed)
  assert {column.key for column in columns.COLUMNS} <= set(listed)
  assert set(columns.METHODS) <= set(listed)
