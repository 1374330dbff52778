"""What is launched: the trials of an experiment, by stages and tasks."""

from collections.abc import Sequence
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys

from coalesce_jax.core import errors

# Flags of an experiment that the launcher sets.
_OWN = {'workdir', 'trials', 'list', 'nolist', 'report', 'noreport'}
# Names of trials on a command line: no shell would read more into them.
_NAMES = r'[\w.-]+(,[\w.-]+)*'

Failed = errors.Failed


@dataclasses.dataclass(frozen=True)
class Job:
  """One run of an experiment.

  Attributes:
    experiment: name of a folder of `experiments`.
    workdir: folder of the results, seen by every machine.
    arguments: further flags of the experiment, `--config` and its fields.
  """

  experiment: str
  workdir: str
  arguments: tuple[str, ...] = ()

  def __post_init__(self):
    if not re.fullmatch(r'\w+', self.experiment):
      raise ValueError(f'--experiment={self.experiment} is no name')
    if '\n' in self.workdir:
      raise ValueError('--workdir has a line break')
    for argument in self.arguments:
      name = argument.lstrip('-').partition('=')[0]
      if name in _OWN or not argument.startswith('-'):
        raise ValueError(f'{argument!r} cannot follow --')

  def command(self, *more: str) -> list[str]:
    """The command line of the experiment in this Python."""
    return [
      sys.executable,
      '-m',
      f'experiments.{self.experiment}.main',
      f'--workdir={self.workdir}',
      *self.arguments,
      *more,
    ]

  def stages(self) -> list[list[str]]:
    """Tasks by stages; a task is the names of its trials, by commas.

    Raises:
      ValueError: no such experiment, or settings that it refuses.
    """
    done = subprocess.run(
      self.command('--list'),
      capture_output=True,
      text=True,
      check=False,
      # It trains nothing: an accelerator may be somebody else's.
      env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    )
    if done.returncode:
      lines = done.stderr.strip().splitlines() or ['no message']
      raise ValueError(f'{self.experiment}: {lines[-1]}')
    found = json.loads(done.stdout.strip().splitlines()[-1])['stages']
    stages = [[','.join(task) for task in stage if task] for stage in found]
    for task in (task for stage in stages for task in stage):
      if not re.fullmatch(_NAMES, task):
        raise ValueError(f'trials {task!r} are no names')
    return [stage for stage in stages if stage]


def line(command: Sequence[str]) -> str:
  """The command as one line of a shell."""
  return shlex.join(command)
