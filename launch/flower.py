"""Runs federated learning, or coalescence, over Flower's nodes on this machine.

  python -m launch.flower --app=metagater --workdir=DIR \
    --config=experiments/federated/configs/digits.py:quick --config.nodes=14
  python -m launch.flower --app=coalescence --workdir=DIR --tls \
    --config=experiments/coalesce/configs/digits.py:quick

It starts a SuperLink and one SuperNode for each node of the configuration, as
separate processes that talk over 127.0.0.1. Each node takes its part of the
data. `--dry_run` only writes the app, and prints the commands: those of real
nodes differ in addresses, certificates, and the data of each node.
"""

import os
import pathlib
import sys
from typing import Any

from absl import flags
from ml_collections import config_flags

from coalesce_jax.cli import command
from coalesce_jax.cli import leave
from coalesce_jax.cli import main as main_lib
from coalesce_jax.cli.definitions import kinds
from coalesce_jax.core import files
from launch import flower_app
from launch import flower_processes
from launch import tasks


def main(arguments: list[str]) -> int:
  """Command line of the launcher; the exit code."""

  def define(values: flags.FlagValues) -> None:
    kinds.choice(
      values, 'app', 'metagater', list(flower_app.APPS), 'What the nodes do.'
    )
    config_flags.DEFINE_config_file(
      'config', None, 'Configuration file of `coalesce federated run`, or of '
      '`coalesce run` for coalescence.', flag_values=values,
    )  # fmt: skip
    kinds.path(values, 'workdir', None, 'Folder of all that the run leaves.')
    kinds.switch(values, 'tls', 'Encrypt connections, with new certificates.')
    kinds.number(
      values, 'clip', 0.0, 'Greatest norm of the update of a node; 0 is no '
      'bound. Of metagater.', 0.0, 1e9,
    )  # fmt: skip
    kinds.number(
      values, 'noise', 0.0, 'Noise of the average of updates, in units of '
      '--clip over the number of nodes. Of metagater.', 0.0, 1e9,
    )  # fmt: skip
    kinds.count(
      values, 'timeout', 3600, 'Seconds to wait for the answers of nodes.', 1,
      1_000_000,
    )  # fmt: skip
    kinds.switch(values, 'dry_run', 'Only write the app and print commands.')

  entry = command.Command(
    'nodes of Flower on this machine', define, run,
    required=('config', 'workdir'),
  )  # fmt: skip
  return main_lib.execute('launch.flower', entry, arguments)


def run(values: flags.FlagValues, stop: command.Stop) -> dict[str, Any]:
  """Writes the app, and starts it unless this is a dry run.

  Raises:
    ValueError: bad settings or data, or Flower is not installed; one line.
    tasks.Failed: the run failed; the last line that it wrote.
  """
  workdir = files.check_writable(os.path.abspath(values.workdir))
  job = written(values, workdir)
  if values.dry_run:
    ports = range(9091, 9092 + len(job.nodes))
    lines = flower_processes.commands(job, ports, None)
    print('\n'.join(tasks.line(each.line) for each in lines), file=sys.stderr)
    return {'app': str(job.app), 'commands': len(lines)}
  flower_processes.run(job, stop)
  return finished(workdir)


def written(
  values: flags.FlagValues, workdir: pathlib.Path
) -> flower_processes.Job:
  """Writes the app of the flags; returns what runs it.

  Args:
    values: the flags.
    workdir: absolute path of the work folder.

  Raises:
    ValueError: bad settings or data; one line.
  """
  settings = flower_app.values(values.app, values.config, str(workdir / 'out'))
  settings['timeout'] = float(values.timeout)
  for name in ('clip', 'noise'):
    if name in settings:
      settings[name] = values[name].value
    elif values[name].value:
      raise ValueError(f'--{name} goes with --app=metagater')
  app = flower_app.write(workdir / 'app', values.app, settings)
  nodes = [{'partition-id': k} for k in range(settings['nodes'])]
  return flower_processes.Job(app, workdir, nodes, values.tls)


def finished(workdir: pathlib.Path) -> dict[str, Any]:
  """Returns what the server wrote at the end.

  Args:
    workdir: the work folder.

  Raises:
    tasks.Failed: it wrote nothing; the line of the log that says why.
  """
  try:
    return files.read_json(workdir / 'out' / 'summary.json')
  except ValueError:
    log = workdir / 'logs' / 'run.log'
    lines = [
      line.strip() for line in log.read_text(errors='replace').splitlines()
      if 'Error: ' in line
    ]  # fmt: skip
    reason = lines[-1] if lines else 'the server wrote no summary'
    raise tasks.Failed(f'{log}: {reason}') from None


if __name__ == '__main__':
  leave.leave(main(sys.argv[1:]))
