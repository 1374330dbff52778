"""Tasks as Slurm arrays: a stage is an array that waits for the one before.

All that is submitted stands in `<workdir>/launch` as scripts that can be read,
edited, and submitted by hand. Trials that are done are not run again, so that
the same command goes on where cancelled or failed tasks stopped.
"""

from collections.abc import Sequence
import pathlib
import shlex
import subprocess
from typing import NamedTuple

from coalesce_jax.core import files
from launch import tasks


class Script(NamedTuple):
  """One array, or one job.

  Attributes:
    name: of its file, without the ending.
    text: of the script.
  """

  name: str
  text: str


def scripts(
  job: tasks.Job, options: Sequence[str], cwd: str, at_once: int
) -> list[Script]:
  """The scripts of a run, in order.

  Args:
    job: what to run.
    options: of `sbatch`, for all scripts: `--gres=gpu:1`, `--time=2:00:00`.
    cwd: folder in which the commands run, the checkout.
    at_once: tasks of an array at a time; 0 is no limit.

  Raises:
    ValueError: an option that is none.
  """
  for option in options:
    if not option.startswith('-') or '\n' in option:
      raise ValueError(f'--sbatch: {option!r} is no option of sbatch')
  folder = pathlib.Path(job.workdir).resolve() / 'launch'
  made = []
  for i, stage in enumerate(job.stages()):
    table = '\n'.join(f"  '{task}'" for task in stage)
    run = tasks.line(job.command('--trials='))
    body = (
      f'tasks=(\n{table}\n)\nexec {run}"${{tasks[$SLURM_ARRAY_TASK_ID]}}"\n'
    )
    name = f'stage_{i}'
    limit = f'%{at_once}' if at_once else ''
    array = [f'--array=0-{len(stage) - 1}{limit}']
    log = f'{name}_%a.log'
    text = _script(job, name, folder, log, [*array, *options], cwd, body)
    made.append(Script(name, text))
  body = f'exec {tasks.line(job.command())}\n'
  text = _script(job, 'summary', folder, 'summary.log', options, cwd, body)
  return [*made, Script('summary', text)]


def submit(job: tasks.Job, made: Sequence[Script]) -> list[str]:
  """Writes the scripts and submits them, each after the one before.

  Args:
    job: what to run.
    made: its scripts.

  Returns:
    Slurm's numbers of the jobs.

  Raises:
    ValueError: there is no Slurm here, or it refused; its last line, and what
      was submitted before.
  """
  folder = pathlib.Path(job.workdir) / 'launch'
  folder.mkdir(parents=True, exist_ok=True)
  numbers: list[str] = []
  for script in made:
    file = folder / f'{script.name}.sh'
    files.write_bytes(file, script.text.encode())
    command = arguments(str(file), numbers[-1:])
    try:
      done = subprocess.run(
        command, capture_output=True, text=True, check=False
      )
    except FileNotFoundError:
      raise ValueError(
        f'there is no sbatch here; the scripts are in {folder}'
      ) from None
    if done.returncode:
      lines = done.stderr.strip().splitlines() or ['no message']
      before = f'; submitted before: {" ".join(numbers)}' if numbers else ''
      raise ValueError(f'sbatch {file}: {lines[-1]}{before}')
    # A cluster may follow the number, after a semicolon.
    numbers.append(done.stdout.strip().split(';')[0])
  return numbers


def arguments(file: str, after: Sequence[str]) -> list[str]:
  """The command that submits a script, after the jobs of these numbers."""
  waits = [f'--dependency=afterok:{number}' for number in after]
  # A job whose predecessor failed would wait for ever.
  never = ['--kill-on-invalid-dep=yes'] if waits else []
  return ['sbatch', '--parsable', *waits, *never, file]


def _script(
  job: tasks.Job,
  name: str,
  folder: pathlib.Path,
  log: str,
  options: Sequence[str],
  cwd: str,
  body: str,
) -> str:
  # In a path of Slurm a percent sign begins a pattern.
  output = f'{folder}/'.replace('%', '%%') + log
  lines = [
    f'--job-name={job.experiment}_{name}',
    f'--output="{output}"',
    # A minute before its time is up the process is told, and keeps what it has.
    '--signal=B:TERM@60',
    *options,
  ]
  header = '\n'.join(f'#SBATCH {line}' for line in lines)
  return f'#!/bin/bash\n{header}\nset -eu\ncd {shlex.quote(cwd)}\n{body}'
