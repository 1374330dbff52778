"""Runs the trials of an experiment side by side, here or on a Slurm cluster.

  python -m launch.main --experiment=few_shot --workdir=DIR --jobs=2 --cores=1 \
    -- --config=experiments/few_shot/configs/default.py --config.seeds=5
  python -m launch.main --experiment=few_shot --workdir=DIR --where=slurm \
    --sbatch=--gres=gpu:1,--time=2:00:00 --dry_run -- --config.seeds=5

What follows `--` are flags of the experiment. `--dry_run` prints what would be
started. Trials that are done are not run again.
"""

import json
import os
import sys
from typing import Any

from absl import flags

from coalesce_jax.cli import command
from coalesce_jax.cli import leave
from coalesce_jax.cli import main as main_lib
from coalesce_jax.cli.definitions import kinds
from launch import local
from launch import slurm
from launch import tasks


def main(arguments: list[str]) -> int:
  """Command line of the launcher; the exit code."""
  arguments, rest = _split(arguments)

  def define(values: flags.FlagValues) -> None:
    kinds.string(values, 'experiment', None, 'Folder of `experiments`.')
    kinds.path(
      values, 'workdir', None, 'Folder of the results, seen by all machines.'
    )
    kinds.choice(values, 'where', 'local', ['local', 'slurm'], 'Where to run.')
    kinds.count(
      values, 'jobs', 1, 'Tasks at a time; on Slurm 0 is no limit.', 0, 100_000
    )
    kinds.count(
      values, 'cores', 0,
      'Cores of each local task alone; 0 is that all share all.', 0, 100_000,
    )  # fmt: skip
    flags.DEFINE_list('sbatch', [], 'Options of sbatch.', flag_values=values)
    kinds.switch(values, 'dry_run', 'Only print what would be started.')

  def run(values: flags.FlagValues, stop: command.Stop) -> dict[str, Any]:
    workdir = os.path.abspath(values.workdir)
    job = tasks.Job(values.experiment, workdir, tuple(rest))
    if values.where == 'slurm':
      if values.cores:
        raise ValueError(
          '--cores goes with --where=local; Slurm has '
          '--sbatch=--cpus-per-task=N'
        )
      made = slurm.scripts(job, values.sbatch, os.getcwd(), values.jobs)
      if values.dry_run:
        before: list[str] = []
        for script in made:
          submitted = slurm.arguments(f'{script.name}.sh', before)
          print(f'# {tasks.line(submitted)}\n{script.text}', file=sys.stderr)
          before = [f'ID_OF_{script.name}']
        return {'scripts': [script.name for script in made]}
      numbers = slurm.submit(job, made)
      return {'workdir': workdir, 'jobs': numbers}
    if values.sbatch:
      raise ValueError('--sbatch goes with --where=slurm')
    if values.jobs < 1:
      raise ValueError('--jobs=0: at least 1 task at a time here')
    if values.dry_run:
      lines = local.commands(job)
      print('\n'.join(lines), file=sys.stderr)
      return {'commands': sum(not text.startswith('#') for text in lines)}
    return json.loads(
      local.run(job, values.jobs, stop, values.cores).splitlines()[-1]
    )

  help_line = 'trials side by side, here or on a Slurm cluster'
  entry = command.Command(
    help_line, define, run, required=('experiment', 'workdir'), jax=False
  )
  return main_lib.execute('launch', entry, arguments)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
  if '--' not in arguments:
    return arguments, []
  at = arguments.index('--')
  return arguments[:at], arguments[at + 1 :]


if __name__ == '__main__':
  leave.leave(main(sys.argv[1:]))
