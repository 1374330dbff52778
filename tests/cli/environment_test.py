"""What surrounds a command: variables of the environment, closed streams."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from coalesce_jax.cli import boundary
from coalesce_jax.cli import commands
from coalesce_jax.cli import main

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A command that does nothing but start JAX, or something else.
PROGRAM = """
import sys
from coalesce_jax.cli import boundary, start
start.log(0)
def run():
  {}
sys.exit(boundary.guard('coalesce x', run))
"""


def program(run, **environment):
  """Runs a function as a command."""
  kept = {k: v for k, v in os.environ.items() if not k.startswith('JAX_')}
  return subprocess.run(
    [sys.executable, '-c', PROGRAM.format(run)], capture_output=True,
    text=True, timeout=120,
    env={**kept, 'PYTHONPATH': str(ROOT), **environment},
  )  # fmt: skip


@pytest.mark.parametrize(
  ('name', 'value', 'said'),
  [
    ('JAX_PLATFORMS', 'rocm', 'JAX finds no such device here; use'),
    ('JAX_ENABLE_X64', 'perhaps', 'invalid truth value'),
    ('JAX_NUM_CPU_DEVICES', 'two', 'jax_num_cpu_devices'),
  ],
)
def test_a_setting_with_which_jax_does_not_start_is_one_line(name, value, said):
  done = program('start.devices(1)', **{name: value})
  assert done.returncode == 2 and not done.stdout
  (line,) = done.stderr.splitlines()
  assert line.startswith('coalesce x: JAX') and said in line
  assert f'{name}={value}' in line and 'JAX_COMPILATION' not in line


def test_no_device_is_one_line_without_settings_to_blame():
  run = 'sys.modules["jax"] = None; start.devices(1)'
  done = program(run, XDG_CACHE_HOME='/proc/x')
  assert done.returncode == 2
  assert done.stderr.startswith('coalesce x: JAX finds no device: ')


def test_warnings_of_libraries_are_neither_errors_nor_shown():
  run = 'import warnings; warnings.warn("old", DeprecationWarning); print(1)'
  done = program(run, PYTHONWARNINGS='error')
  assert (done.returncode, done.stdout, done.stderr) == (0, '1\n', '')
  run = 'import warnings; warnings.warn("odd", UserWarning); print(1)'
  assert not program(run).stderr
  run = f'start.log(1); {run}'
  assert 'UserWarning: odd' in program(run).stderr


def test_a_folder_that_matplotlib_cannot_write_to_is_not_spoken_of():
  done = program('import matplotlib', HOME='/proc', XDG_CONFIG_HOME='/proc/x')
  assert (done.returncode, done.stderr) == (0, '')


def test_a_value_that_jax_stops_at_is_one_line():
  run = 'import jax.numpy as jnp; jnp.zeros(2) / jnp.zeros(2)'
  done = program(run, JAX_DEBUG_NANS='1', JAX_PLATFORMS='cpu')
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert 'JAX_DEBUG_NANS' in line and line.endswith('unset it')


def test_a_stream_that_is_closed_is_not_the_next_file(tmp_path):
  text = PROGRAM.format(
    f'file = open({str(tmp_path / "out")!r}, "w"); print("noise"); '
    'import os; os.write(1, b"noise"); os.write(2, b"noise"); file.write("x")'
  )
  done = subprocess.run(
    ['bash', '-c', f'{sys.executable} -c {shlex.quote(text)} <&- >&- 2>&-'],
    env={**os.environ, 'PYTHONPATH': str(ROOT)}, timeout=60,
  )  # fmt: skip
  assert done.returncode == 0
  assert (tmp_path / 'out').read_text() == 'x'


def test_work_without_any_stream_is_done(tmp_path):
  text = PROGRAM.format(
    'from coalesce_jax.runs import progress; '
    'progress.steps("adapted", 2)(2); '
    f'open({str(tmp_path / "done")!r}, "w"); print(sys.stderr.isatty())'
  )
  done = subprocess.run(
    ['bash', '-c', f'{sys.executable} -c {shlex.quote(text)} <&- >&- 2>&-'],
    env={**os.environ, 'PYTHONPATH': str(ROOT)}, timeout=60,
  )  # fmt: skip
  assert done.returncode == 0 and (tmp_path / 'done').exists()


@pytest.mark.parametrize(
  'argv',
  [[], ['--version'], ['sample', '--help'], ['completion', 'bash']],
)
@pytest.mark.parametrize('place', ['| true', '> /dev/full'])
def test_what_is_printed_may_find_no_reader_and_no_space(argv, place):
  words = ' '.join([sys.executable, '-m', 'coalesce_jax', *argv])
  # The reader ends before the command has begun.
  done = subprocess.run(
    ['bash', '-c', f'(sleep 0.1; {words}) {place}; exit ${{PIPESTATUS[0]}}'],
    env={**os.environ, 'PYTHONPATH': str(ROOT)}, timeout=60,
    capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 1
  lines = done.stderr.splitlines()
  assert len(lines) == place.endswith('full')
  if lines:
    assert lines[0].startswith('coalesce: standard output: No space left')


def test_all_that_is_printed_ends_with_one_line_end(capsys):
  assert boundary.show('a\nb') == 0
  assert capsys.readouterr().out == 'a\nb\n'
  assert main.main(['coalesce', 'help']) == 0
  lines = capsys.readouterr().out.splitlines()
  assert all(any(name in line for line in lines) for name in commands.TABLE)


@pytest.mark.parametrize('argv', [['nope'], ['sample', '--n=0']])
def test_a_refusal_without_stderr_is_not_printed_as_a_result(argv):
  words = ' '.join([sys.executable, '-m', 'coalesce_jax', *argv])
  done = subprocess.run(
    ['bash', '-c', f'{words} 2>&-'], stdout=subprocess.PIPE, timeout=60,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )  # fmt: skip
  assert (done.returncode, done.stdout) == (2, b'')
