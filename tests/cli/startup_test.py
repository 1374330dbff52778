"""What comes before JAX: help, usage errors, versions, the import path."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys

import pytest

from coalesce_jax.cli import commands
from coalesce_jax.cli import main
from tests.cli import calls

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAVY = ('jax', 'scipy', 'ott', 'flax', 'optax', 'sklearn', 'matplotlib')


def python(folder, *argv, **environment):
  """Runs Python in a folder."""
  return subprocess.run(
    [sys.executable, *argv], cwd=folder, capture_output=True, text=True,
    timeout=120, env={**os.environ, 'PYTHONPATH': str(ROOT), **environment},
  )  # fmt: skip


def test_help_and_usage_errors_wait_for_no_heavy_package(tmp_path):
  program = f"""
import sys
for name in {HEAVY}:
  sys.modules[name] = None  # An import of it fails.
from coalesce_jax.cli import commands, main
codes = [main.main(['coalesce', *argv]) for argv in (
  [], ['--version'], ['nope'], ['completion', 'bash'], ['adapt', '--nope'],
  ['adapt', '--learning_rate=inf'], ['help', 'adapt'],
  *([name, '--help'] for name in commands.TABLE),
  *([name] for name in commands.TABLE),
)]
print(codes)
"""
  done = python(tmp_path, '-c', program)
  count = len(commands.TABLE)
  needs = [2 if c.required else 0 for c in commands.TABLE.values()]
  codes = [0, 0, 2, 0, 2, 2, 0, *[0] * count, *needs]
  assert done.stdout.splitlines()[-1] == str(codes), done.stderr


@pytest.mark.parametrize(
  'start',
  [
    ['-m', 'coalesce_jax'],
    pytest.param(
      ['-c', 'import sys; sys.path.remove(""); '
       'from coalesce_jax import __main__; __main__.main()'],
      marks=pytest.mark.slow,
    ),
  ],
)  # fmt: skip
def test_code_in_the_current_folder_is_never_run(tmp_path, start):
  for name in (*HEAVY, 'numpy', 'absl', 'PIL', 'experiments', 'jax_plugins',
               'sitecustomize_', 'json', 'coalesce', 'tensorflow'):  # fmt: skip
    (tmp_path / f'{name}.py').write_text("print('run'); raise SystemExit(7)")
  done = python(tmp_path, *start, 'data', '--dataset=digits')
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('{"dataset": "digits"')


def test_the_version_is_that_of_the_package(capsys):
  assert main.main(['coalesce', '--version']) == 0
  found = capsys.readouterr().out.strip()
  assert found == f'coalesce_jax {importlib.metadata.version("coalesce_jax")}'


def test_a_near_miss_is_suggested(capsys):
  calls.refused(capsys, ['adpat'], 'did you mean adapt?')
  calls.refused(capsys, ['x'], 'one of run, pretrain')


@pytest.mark.parametrize('name', commands.TABLE)
def test_a_missing_flag_is_named_with_what_it_is(capsys, name):
  for flag in commands.TABLE[name].required[:1]:
    calls.refused(capsys, [name], f'--{flag} is missing: ')


def test_help_shows_examples_and_what_is_required(capsys):
  assert main.main(['coalesce', 'adapt', '--help']) == 0
  text = capsys.readouterr().out
  assert '  coalesce adapt --nodes=a.safetensors,b.safetensors' in text
  (row,) = [row for row in text.splitlines() if row.startswith('  --local:')]
  assert row.endswith('(required)')
  assert 'One of 2bit, trits. [2bit]' in text


@pytest.mark.parametrize(
  ('words', 'expected'),
  [
    (['ada'], ['adapt']),
    (['adapt', '--loc'], ['--local=']),
    (['adapt', '--ter'], ['--ternary', '--ternary_steps=']),
    (['sample', '--out'], ['--out=']),
  ],
)
def test_a_shell_completes_commands_and_flags(capsys, words, expected):
  assert main.main(['coalesce', 'completion', 'bash']) == 0
  script = capsys.readouterr().out
  line = ' '.join(f"'{word}'" for word in ['coalesce', *words])
  program = (
    f'{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _coalesce; '
    'printf "%s\\n" "${COMPREPLY[@]}"'
  )
  done = subprocess.run(
    ['bash', '-c', program], capture_output=True, text=True, timeout=30
  )
  assert done.stdout.split() == expected


def test_completion_needs_a_shell_it_knows(capsys):
  calls.refused(capsys, ['completion'], 'bash or zsh')
  calls.refused(capsys, ['completion', 'fish'], 'bash or zsh')
