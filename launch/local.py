"""Tasks as processes of this machine, which share what it has."""

from collections.abc import Callable
import os
import pathlib
import subprocess
import tempfile
import time

from absl import logging

from coalesce_jax.core import files
from coalesce_jax.core import locks
from coalesce_jax.training import loop
from launch import tasks


def commands(job: tasks.Job) -> list[str]:
  """What `run` starts, in order; of a stage several at a time."""
  lines = []
  for i, stage in enumerate(job.stages()):
    lines += [f'# stage {i}, {len(stage)} tasks']
    lines += [tasks.line(job.command(f'--trials={task}')) for task in stage]
  return [*lines, '# then', tasks.line(job.command())]


def run(
  job: tasks.Job, jobs: int, stop: Callable[[], bool], cores: int = 0
) -> str:
  """Runs all trials that have no result yet, then the summary.

  Tasks share the programs that they compile, in the folder of the environment's
  `JAX_COMPILATION_CACHE_DIR`, or in one that is gone afterwards.

  Args:
    job: what to run.
    jobs: tasks at a time; one where they share an accelerator.
    stop: whether a stop was asked for; told to the processes, which keep what
      is done.
    cores: of this machine, for each task alone; 0 is that all share all.

  Returns:
    What the experiment prints, one JSON line.

  Raises:
    loop.Interrupted: `stop` said so.
    ValueError: a task refused its settings; the last line that it wrote. More
      cores than there are. Another launcher works in the folder.
    tasks.Failed: a task failed otherwise; likewise.
  """
  places = _places(jobs, cores)
  stages = job.stages()
  logs = files.check_writable(pathlib.Path(job.workdir) / 'launch')
  with (
    locks.holding(logs / '.lock', str(logs)),
    tempfile.TemporaryDirectory() as cache,
  ):
    environment = {'JAX_COMPILATION_CACHE_DIR': cache, **os.environ}
    for i, stage in enumerate(stages):
      waiting = [
        (logs / f'stage_{i}_task_{j}.log', job.command(f'--trials={task}'))
        for j, task in enumerate(stage)
      ]
      logging.info('stage %d: %d tasks', i, len(waiting))
      _side_by_side(waiting, places, stop, environment)
    last = [(logs / 'summary.log', job.command())]
    return _side_by_side(last, [set()], stop, environment)


def _places(jobs: int, cores: int) -> list[set[int]]:
  """The cores of each of so many tasks at a time; an empty set is all."""
  if not cores:
    return [set() for _ in range(jobs)]
  if not hasattr(os, 'sched_setaffinity'):
    raise ValueError('--cores: this system gives no cores to processes')
  mine = sorted(os.sched_getaffinity(0))
  if jobs * cores > len(mine):
    raise ValueError(
      f'--jobs={jobs} with --cores={cores} each: this process has {len(mine)}'
    )
  return [set(mine[i * cores : (i + 1) * cores]) for i in range(jobs)]


def _side_by_side(
  waiting: list[tuple[pathlib.Path, list[str]]],
  places: list[set[int]],
  stop: Callable[[], bool],
  environment: dict[str, str],
) -> str:
  """Runs commands with their logs; the standard output of the last one."""
  running: dict[subprocess.Popen[bytes], tuple[pathlib.Path, set[int]]] = {}
  output = ''
  waiting, free = waiting[::-1], list(places)
  try:
    while waiting or running:
      while waiting and free:
        (log, command), place = waiting.pop(), free.pop(0)
        with log.open('w') as err, log.with_suffix('.out').open('w') as out:
          process = subprocess.Popen(
            command, stdout=out, stderr=err, env=environment
          )
        if place:
          # Before it has threads, which inherit that.
          os.sched_setaffinity(process.pid, place)
        running[process] = log, place
      for process in [p for p in running if p.poll() is not None]:
        log, place = running.pop(process)
        free.append(place)
        output = log.with_suffix('.out').read_text()
        if process.returncode and not stop():
          _refuse(log, process.returncode)
        logging.info('%s: done', log.stem)
      if stop():
        raise loop.Interrupted(f'{len(waiting) + len(running)} tasks are left')
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
