"""What a run leaves behind: metrics by the line, settings, versions, progress.

`metrics.jsonl` has one object a line: `stage`, `step`, and metrics as numbers
or lists; a value that is not finite becomes null. A resumed run first removes
its rows beyond the step it resumes from.
"""

from collections.abc import Callable
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any, NamedTuple

from absl import logging
import jax
import numpy as np
import tqdm

from coalesce_jax.core import files

PACKAGES = (
  'jax', 'jaxlib', 'flax', 'optax', 'ott-jax', 'orbax-checkpoint', 'chex',
  'numpy', 'scipy', 'scikit-learn', 'torch', 'coalesce_jax',
)  # fmt: skip


class Recorder(NamedTuple):
  """Functions of one work folder.

  Attributes:
    log: ``(stage, step, metrics)``, appends one line.
    truncate: ``(stage, step)``, removes the stage's rows beyond a step.
    rows: ``stage -> rows``; None for all.
    close: flushes what TensorBoard gets.
  """

  log: Callable[[str, int, dict[str, Any]], None]
  truncate: Callable[[str, int], None]
  rows: Callable[[str | None], list[dict[str, Any]]]
  close: Callable[[], None]


def open_recorder(
  workdir: str | os.PathLike[str],
  *,
  config: dict[str, Any],
  tensorboard: bool = False,
) -> Recorder:
  """Opens the records of a work folder; writes settings and environment.

  Args:
    workdir: an existing folder.
    config: resolved settings, as JSON values.
    tensorboard: also write event files.

  Raises:
    ValueError: tensorboard without the package that writes its files.
  """
  workdir = pathlib.Path(workdir)
  path = workdir / 'metrics.jsonl'
  files.write_json(workdir / 'config.json', config)
  files.write_json(workdir / 'environment.json', environment())
  writer = _tensorboard(workdir) if tensorboard else None

  def rows(stage: str | None = None) -> list[dict[str, Any]]:
    found = []
    if path.is_file():
      for line in path.read_text().splitlines():
        try:
          row = json.loads(line)
        except ValueError:
          continue  # The last line of a killed run can be torn.
        if stage is None or row['stage'] == stage:
          found.append(row)
    return found

  def truncate(stage: str, step: int) -> None:
    kept = [r for r in rows() if r['stage'] != stage or r['step'] <= step]
    text = ''.join(json.dumps(r) + '\n' for r in kept)
    # Not where nothing changes: other processes may write rows of their own.
    if not path.is_file() or path.read_text() != text:
      files.write_bytes(path, text.encode())

  def log(stage: str, step: int, metrics: dict[str, Any]) -> None:
    row = {'stage': stage, 'step': int(step)}
    row |= {name: plain(value) for name, value in metrics.items()}
    with path.open('a') as file:
      file.write(json.dumps(row) + '\n')
    if writer is not None:
      for name, value in metrics.items():
        mean = float(np.mean(np.asarray(value)))
        writer.add_scalar(f'{stage}/{name}', mean, step)

  def close() -> None:
    if writer is not None:
      writer.close()

  return Recorder(log, truncate, rows, close)


def plain(value: Any) -> Any:
  """Arrays and numbers as JSON values; null for what is not finite."""
  if isinstance(value, dict):
    return {k: plain(v) for k, v in value.items()}
  if isinstance(value, str | bool) or value is None:
    return value
  if isinstance(value, list | tuple):
    return [plain(v) for v in value]
  array = np.asarray(value)
  if array.ndim:
    return [plain(v) for v in array]
  if array.dtype.kind in 'iu':
    return int(array)
  number = float(array)
  return float(f'{number:.7g}') if math.isfinite(number) else None


def progress(description: str, total: int) -> Callable[[int], None]:
  """A bar on a terminal, log lines at most every 10 seconds otherwise.

  Returns:
    ``step -> None``; reaching `total` closes the bar.
  """
  if not sys.stderr.isatty():

    def line(step: int) -> None:
      logging.log_every_n_seconds(
        logging.INFO, '%s: step %d of %d', 10, description, step, total
      )

    return line
  bar = tqdm.tqdm(total=total, desc=description, file=sys.stderr, leave=False)

  def move(step: int) -> None:
    bar.update(step - bar.n)
    if step >= total:
      bar.close()

  return move


def environment() -> dict[str, Any]:
  """Versions, device and revision."""
  versions = {}
  for name in PACKAGES:
    try:
      versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue
  device = jax.devices()[0]
  return {
    'python': platform.python_version(),
    'platform': platform.platform(),
    'device': f'{device.platform} {device.device_kind}',
    **({} if device.platform == 'cpu' else {'driver': _driver(device)}),
    'cores': os.cpu_count(),
    'revision': _revision(),
    'versions': versions,
  }


def _driver(device: jax.Device) -> str:
  """Of the runtime, and of NVIDIA's kernel module."""
  found = [' '.join(str(device.client.platform_version).split())]
  module = pathlib.Path('/proc/driver/nvidia/version')
  if module.is_file():
    found += module.read_text().splitlines()[:1]
  return '; '.join(found)


def _revision() -> str | None:
  try:
    done = subprocess.run(
      ['git', 'describe', '--always', '--dirty'],
      cwd=pathlib.Path(__file__).parent,
      capture_output=True,
      text=True,
      timeout=10,
    )
  except (OSError, subprocess.TimeoutExpired):
    return None
  return done.stdout.strip() or None


def _tensorboard(workdir: pathlib.Path) -> Any:
  try:
    import tensorboardX
  except ImportError:
    raise ValueError(
      'tensorboard needs the extra: pip install coalesce_jax[tensorboard]'
    ) from None
  return tensorboardX.SummaryWriter(str(workdir / 'tensorboard'))
