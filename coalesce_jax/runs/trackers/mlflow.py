"""Records a run in MLflow.

`MLFLOW_TRACKING_URI` names the server or folder, else it is the folder `mlruns`
of the run. `MLFLOW_EXPERIMENT_NAME` names the experiment, else `coalesce_jax`.
A run that is resumed goes on under its identifier, which the file `mlflow.id`
keeps.
"""

from collections.abc import Mapping
import os
import pathlib
import time
from typing import Any

from coalesce_jax.core import files
from coalesce_jax.runs.trackers import table

ADVICE = (
  'mend MLFLOW_TRACKING_URI, or unset it to write to the work folder; a '
  'folder of your own may need MLFLOW_ALLOW_FILE_STORE=true'
)
# Most parameters that one call may record.
_MOST = 100


def start(folder: pathlib.Path, config: Mapping[str, Any]) -> table.Tracker:
  """Starts or resumes a run of MLflow; see `table.open_all`."""
  import mlflow
  from mlflow import entities

  place = os.environ.get('MLFLOW_TRACKING_URI')
  if not place:
    place = (folder / 'mlruns').resolve().as_uri()
    # Newer versions (3.17) refuse a folder unless this is set.
    os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')
  client = mlflow.MlflowClient(tracking_uri=place)
  run = _resumed(client, folder / 'mlflow.id')
  if run is None:
    run = _begun(client, folder)
    settings = [
      entities.Param(name, str(value))
      for name, value in table.flat(config).items()
    ]
    for first in range(0, len(settings), _MOST):
      client.log_batch(run, params=settings[first : first + _MOST])
    files.write_bytes(folder / 'mlflow.id', f'{run}\n'.encode())

  def write(stage: str, step: int, numbers: Mapping[str, float]) -> None:
    now = int(time.time() * 1000)
    client.log_batch(
      run,
      [
        entities.Metric(f'{stage}/{name}', value, now, step)
        for name, value in numbers.items()
      ],
    )

  def close(failed: bool) -> None:
    client.set_terminated(run, 'FAILED' if failed else 'FINISHED')

  return table.Tracker(write, close)


def _begun(client: Any, folder: pathlib.Path) -> str:
  """Starts a run in the experiment, which is made if it is not there."""
  name = os.environ.get('MLFLOW_EXPERIMENT_NAME') or 'coalesce_jax'
  found = client.get_experiment_by_name(name)
  experiment = (
    client.create_experiment(name) if found is None else found.experiment_id
  )
  run = client.create_run(experiment, run_name=folder.resolve().name)
  return run.info.run_id


def _resumed(client: Any, kept: pathlib.Path) -> str | None:
  """Continues the run of this folder; None if the store does not know it."""
  import mlflow

  if not kept.is_file():
    return None
  name = kept.read_text().strip()
  try:
    client.update_run(name, status='RUNNING')
  except mlflow.MlflowException:
    return None
  return name
