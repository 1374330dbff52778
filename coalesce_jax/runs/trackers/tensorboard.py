"""Writes event files of TensorBoard to the folder `tensorboard` of a run."""

from collections.abc import Mapping
import pathlib
from typing import Any

from coalesce_jax.runs.trackers import table

ADVICE = 'use another --workdir'


def start(folder: pathlib.Path, config: Mapping[str, Any]) -> table.Tracker:
  """Opens a file of events; see `table.open_all`."""
  del config  # The folder has the settings beside the events.
  import tensorboardX

  writer = tensorboardX.SummaryWriter(str(folder / 'tensorboard'))

  def write(stage: str, step: int, numbers: Mapping[str, float]) -> None:
    for name, value in numbers.items():
      writer.add_scalar(f'{stage}/{name}', value, step)

  return table.Tracker(write, lambda failed: writer.close())
