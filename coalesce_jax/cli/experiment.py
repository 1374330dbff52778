"""Defines the command line that all experiments share."""

from typing import Any

from absl import flags
from ml_collections import config_flags

from coalesce_jax.cli import command as command_lib
from coalesce_jax.cli import main as main_lib
from coalesce_jax.cli.definitions import kinds
from coalesce_jax.pipeline import keys
from coalesce_jax.trials import trials


def main(experiment: trials.Experiment, arguments: list[str]) -> int:
  """Runs the command line of an experiment and prints one JSON line.

  By default it runs all trials and makes the summary. With `--trials=NAME,NAME`
  it runs only these trials, without the summary. With `--list` it prints the
  names of the trials by stages and tasks. With `--report` it makes the summary
  of the trials that are done.

  Args:
    experiment: what to run.
    arguments: flags.

  Returns:
    The exit code, as for `coalesce`.
  """

  def define(values: flags.FlagValues) -> None:
    config_flags.DEFINE_config_file(
      'config',
      experiment.config,
      'Configuration file, with `:quick` for a smoke test.',
      flag_values=values,
    )
    kinds.path(values, 'workdir', None, 'Folder of the results.')
    flags.DEFINE_list(
      'trials', [], 'Names of trials; none runs all of them and the summary.',
      flag_values=values,
    )  # fmt: skip
    kinds.switch(values, 'list', 'Only list the trials.')
    kinds.switch(
      values, 'report', 'Only make the summary of the trials that are done.'
    )
    for flag, help_line in experiment.more.items():
      kinds.string(values, flag, None, help_line)

  def command(values: command_lib.Values, stop: command_lib.Stop) -> Any:
    config, workdir = values.config, values.workdir
    if 'seed' in config:
      keys.check(config.seed)
    texts = {flag: values[flag].value for flag in experiment.more}
    if values.report:
      if values.trials or values.list:
        raise ValueError('--report goes with neither --trials nor --list')
      return trials.summarise(experiment, config, workdir, **texts)
    if values['trials'].present and not values.trials:
      raise ValueError('--trials= names no trial; leave it out to run all')
    if not values.list and not values.trials:
      return trials.complete(experiment, config, workdir, stop, **texts)
    experiment.prepare(config, **texts)
    stages = trials.stages(experiment, config, stop)
    if values.list:
      return {'stages': stages}
    names = trials.names(stages)
    for name in values.trials:
      if name not in names:
        raise ValueError(f'--trials: {name!r} is not one of --list')
    done = trials.run(
      workdir, config, experiment.plan, stop, only=values.trials
    )
    return {'workdir': workdir, 'trials': list(done)}

  entry = command_lib.Command(
    experiment.help, define, command, required=('config', 'workdir')
  )
  return main_lib.execute(experiment.name, entry, arguments)
