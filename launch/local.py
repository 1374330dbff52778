"""Tasks as processes of this machine, which share what it has."""

from collections.abc import Callable
import pathlib
import subprocess
import time

from absl import logging

from coalesce_jax import driver
from launch import tasks


def commands(job: tasks.Job) -> list[str]:
  """What `run` starts, in order; of a stage several at a time."""
  lines = []
  for i, stage in enumerate(job.stages()):
    lines += [f'# stage {i}, {len(stage)} tasks']
    lines += [tasks.line(job.command(f'--trials={task}')) for task in stage]
  return [*lines, '# then', tasks.line(job.command())]


def run(job: tasks.Job, jobs: int, stop: Callable[[], bool]) -> str:
  """Runs all trials that have no result yet, then the summary.

  Args:
    job: what to run.
    jobs: tasks at a time; one where they share an accelerator.
    stop: whether a stop was asked for; told to the processes, which keep what
      is done.

  Returns:
    What the experiment prints, one JSON line.

  Raises:
    driver.Interrupted: `stop` said so.
    ValueError: a task refused its settings; the last line that it wrote.
    tasks.Failed: a task failed otherwise; likewise.
  """
  stages = job.stages()
  logs = pathlib.Path(job.workdir) / 'launch'
  logs.mkdir(parents=True, exist_ok=True)
  for i, stage in enumerate(stages):
    waiting = [
      (logs / f'stage_{i}_task_{j}.log', job.command(f'--trials={task}'))
      for j, task in enumerate(stage)
    ]
    logging.info('stage %d: %d tasks', i, len(waiting))
    _side_by_side(waiting, jobs, stop)
  summary = logs / 'summary.log'
  return _side_by_side([(summary, job.command())], 1, stop)


def _side_by_side(
  waiting: list[tuple[pathlib.Path, list[str]]],
  jobs: int,
  stop: Callable[[], bool],
) -> str:
  """Runs commands with their logs; the standard output of the last one."""
  running: dict[subprocess.Popen[bytes], pathlib.Path] = {}
  output = ''
  waiting = waiting[::-1]
  try:
    while waiting or running:
      while waiting and len(running) < jobs:
        log, command = waiting.pop()
        with log.open('w') as err, log.with_suffix('.out').open('w') as out:
          process = subprocess.Popen(command, stdout=out, stderr=err)
        running[process] = log
      for process in [p for p in running if p.poll() is not None]:
        log = running.pop(process)
        output = log.with_suffix('.out').read_text()
        if process.returncode and not stop():
          _refuse(log, process.returncode)
        logging.info('%s: done', log.stem)
      if stop():
        raise driver.Interrupted(
          f'{len(waiting) + len(running)} tasks are left'
        )
      time.sleep(0.1)
  finally:
    for process in running:
      process.terminate()
    for process in running:
      process.wait()
  return output


def _refuse(log: pathlib.Path, code: int) -> None:
  lines = [line for line in log.read_text().splitlines() if line.strip()]
  last = lines[-1] if lines else 'nothing written'
  if code == 2:
    raise ValueError(f'{log}: {last}')
  how = f'exit code {code}' if code > 0 else f'ended by signal {-code}'
  raise tasks.Failed(f'{log}: {how}, after: {last}')
