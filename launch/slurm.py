"""Tasks as Slurm arrays: a stage is an array that waits for the one before.

All that is submitted stands in `<workdir>/launch` as scripts that can be read,
edited, and submitted by hand. Array tasks that are cancelled and submitted
again go on where they stopped.
"""

from collections.abc import Sequence
import pathlib
import shlex
import subprocess
from typing import NamedTuple

from coalesce_jax import files
from launch import tasks


class Script(NamedTuple):
  """One array, or one job.

  Attributes:
    name: of its file, without the ending.
    text: of the script.
    tasks: that it has; 0 is a job that is no array.
  """

  name: str
  text: str
  tasks: int


def scripts(job: tasks.Job, options: Sequence[str], cwd: str) -> list[Script]:
  """The scripts of a run, in order.

  Args:
    job: what to run.
    options: of `sbatch`, for all scripts: `--gres=gpu:1`, `--time=2:00:00`.
    cwd: folder in which the commands run, the checkout.

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
    log = folder / f'stage_{i}_%a.log'
    name = f'stage_{i}'
    text = _script(job, name, log, options, cwd, body)
    made.append(Script(name, text, len(stage)))
  body = f'exec {tasks.line(job.command())}\n'
  log = folder / 'summary.log'
  made.append(
    Script('summary', _script(job, 'summary', log, options, cwd, body), 0)
  )
  return made


def submit(job: tasks.Job, made: Sequence[Script], at_once: int) -> list[str]:
  """Writes the scripts and submits them, each after the one before.

  Args:
    job: what to run.
    made: its scripts.
    at_once: tasks of an array at a time; 0 is no limit.

  Returns:
    Slurm's numbers of the jobs.

  Raises:
    ValueError: there is no Slurm here, or it refused; its last line.
  """
  folder = pathlib.Path(job.workdir) / 'launch'
  folder.mkdir(parents=True, exist_ok=True)
  numbers: list[str] = []
  for script in made:
    file = folder / f'{script.name}.sh'
    files.write_bytes(file, script.text.encode())
    command = arguments(script, str(file), numbers[-1:], at_once)
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
      raise ValueError(f'sbatch {file}: {lines[-1]}')
    # A cluster may follow the number, after a semicolon.
    numbers.append(done.stdout.strip().split(';')[0])
  return numbers


def arguments(
  script: Script, file: str, after: Sequence[str], at_once: int
) -> list[str]:
  """The command that submits a script, after the jobs of these numbers."""
  command = ['sbatch', '--parsable']
  if script.tasks:
    limit = f'%{at_once}' if at_once else ''
    command.append(f'--array=0-{script.tasks - 1}{limit}')
  command += [f'--dependency=afterok:{number}' for number in after]
  return [*command, file]


def _script(
  job: tasks.Job,
  name: str,
  log: pathlib.Path,
  options: Sequence[str],
  cwd: str,
  body: str,
) -> str:
  lines = [
    f'--job-name={job.experiment}_{name}',
    f'--output={log}',
    # Time to write a checkpoint: a trial goes on from it.
    '--signal=TERM@60',
    *options,
  ]
  header = '\n'.join(f'#SBATCH {line}' for line in lines)
  return f'#!/bin/bash\n{header}\nset -e\ncd {shlex.quote(cwd)}\n{body}'
