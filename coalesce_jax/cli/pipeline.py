"""The commands of the whole pipeline: run, report."""

import json
import pathlib
from typing import Any

import ml_collections

from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values


def run(values: Values, stop: Stop) -> dict[str, Any]:
  """Runs the pipeline of a configuration."""
  from coalesce_jax.pipeline import run as run_lib

  return run_lib.run(values.config, values.workdir, stop)


def report(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes the report of a finished run again."""
  from coalesce_jax.pipeline import run as run_lib

  path = pathlib.Path(values.workdir)
  if not (path / 'summary.json').is_file():
    raise ValueError(f'{path}: no finished run (no summary.json)')
  config = json.loads((path / 'config.json').read_text())
  return run_lib.run(ml_collections.ConfigDict(config), values.workdir, stop)
