"""Command line of the feature networks: see configs/default.py."""

import json

from absl import app
from absl import flags
from ml_collections import config_flags

from experiments.features import train

_CONFIG = config_flags.DEFINE_config_file('config', None, 'Configuration file.')
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the result.')
flags.mark_flags_as_required(['config', 'workdir'])


def main(argv: list[str]) -> None:
  """Runs and prints one JSON line."""
  del argv
  print(json.dumps(train.run(_CONFIG.value, str(_WORKDIR.value))))


if __name__ == '__main__':
  app.run(main)
