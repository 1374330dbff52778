"""Records a run in Weights & Biases.

The variables of W&B choose where: `WANDB_MODE=offline` keeps the records in the
folder `wandb` of the run until `wandb sync`, and `WANDB_PROJECT` names the
project, else `coalesce_jax`. Every stage has an axis of steps of its own,
`STAGE/step`, since each starts at 0. A run that is resumed goes on under its
identifier, which the file `wandb.id` keeps.
"""

from collections.abc import Mapping
import os
import pathlib
import secrets
from typing import Any

from coalesce_jax.core import files
from coalesce_jax.runs.trackers import table

ADVICE = (
  'log in with `wandb login`, or set WANDB_MODE=offline to keep the records '
  'in the work folder'
)


def start(folder: pathlib.Path, config: Mapping[str, Any]) -> table.Tracker:
  """Starts or resumes a run of W&B; see `table.open_all`."""
  import wandb

  kept = folder / 'wandb.id'
  name = kept.read_text().strip() if kept.is_file() else secrets.token_hex(8)
  run = wandb.init(
    project=os.environ.get('WANDB_PROJECT') or 'coalesce_jax',
    name=folder.resolve().name,
    id=name,
    # Offline there is nobody to ask, and W&B warns of the question.
    resume=None if os.environ.get('WANDB_MODE') == 'offline' else 'allow',
    dir=str(folder),
    config=dict(config),
    # The command's one line on stdout stays its own.
    settings=wandb.Settings(console='off'),
  )
  files.write_bytes(kept, f'{name}\n'.encode())
  known: set[str] = set()

  def write(stage: str, step: int, numbers: Mapping[str, float]) -> None:
    axis = f'{stage}/step'
    row = {f'{stage}/{name}': value for name, value in numbers.items()}
    for metric in row.keys() - known:
      run.define_metric(metric, step_metric=axis)
      known.add(metric)
    run.log({axis: step, **row})

  return table.Tracker(write, lambda failed: run.finish(exit_code=int(failed)))
