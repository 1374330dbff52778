"""Command line of the feature networks: see configs/default.py."""

import sys
from typing import Any

from ml_collections import config_flags

from coalesce_jax.cli import command
from coalesce_jax.cli import leave
from coalesce_jax.cli import main as main_lib
from coalesce_jax.cli.definitions import kinds
from experiments.features import train


def main(arguments: list[str]) -> int:
  """Runs and prints one JSON line; the exit code."""

  def define(values: command.Values) -> None:
    config_flags.DEFINE_config_file(
      'config', None, 'Configuration file.', flag_values=values
    )
    kinds.path(values, 'workdir', None, 'Folder of the result.')

  def run(values: command.Values, stop: command.Stop) -> dict[str, Any]:
    del stop
    return train.run(values.config, values.workdir)

  entry = command.Command(
    'trains a feature network', define, run, required=('config', 'workdir')
  )
  return main_lib.execute('features', entry, arguments)


if __name__ == '__main__':
  leave.leave(main(sys.argv[1:]))
