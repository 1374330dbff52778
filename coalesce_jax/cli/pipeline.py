"""The commands of the whole pipeline: run, report."""

import pathlib
from typing import Any

import ml_collections

from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values


def run(values: Values, stop: Stop) -> dict[str, Any]:
  """Runs the pipeline of a configuration."""
  from coalesce_jax.pipeline import run as run_lib

  return run_lib.run(values.config, values.workdir, stop, values.track or ())


def report(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes the report of a work folder: of a finished pipeline all of it again.

  Of another command, or of a pipeline that is not finished, the metrics.
  """
  from coalesce_jax.pipeline import config as config_lib
  from coalesce_jax.pipeline import run as run_lib
  from coalesce_jax.runs import report as report_lib
  from coalesce_jax.runs import workdir

  path = pathlib.Path(values.workdir)
  if (path / 'trials').is_dir() or not (path / 'summary.json').is_file():
    made = report_lib.write_folder(path)
    return {'workdir': str(path), 'report': made['html']}
  config = ml_collections.ConfigDict(workdir.settings(path) or {})
  try:
    config_lib.validate(config)
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f'{path / "config.json"}: damaged, or of no pipeline ({error})'
    ) from None
  return run_lib.run(config, values.workdir, stop)
