"""Records the metrics, settings and environment of a run.

Each line of `metrics.jsonl` is an object with `stage`, `step`, and metrics as
numbers or lists. Values that are not finite become null. Other lines, which a
killed run or a damaged disk leaves, are passed over. A resumed run first
removes these lines, and its rows beyond the step from which it resumes.

Several processes may write to one file, one at a time.
"""

from collections.abc import Callable, Sequence
import contextlib
import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import locks
from coalesce_jax.core import write_errors
from coalesce_jax.runs.trackers import table

PACKAGES = (
  'jax', 'jaxlib', 'flax', 'optax', 'ott-jax', 'orbax-checkpoint', 'chex',
  'numpy', 'scipy', 'scikit-learn', 'torch', 'coalesce_jax',
)  # fmt: skip

_METRICS = 'metrics.jsonl'


class Recorder(NamedTuple):
  """The functions of the records of one work folder.

  Attributes:
    log: ``(stage, step, metrics) -> None``, appends one line.
    truncate: ``(stage, step) -> None``, removes the stage's rows beyond a step.
    rows: ``stage -> rows``; None is all stages.
    close: ``(failed=False) -> None``, ends the records of the trackers.
  """

  log: Callable[[str, int, dict[str, Any]], None]
  truncate: Callable[[str, int], None]
  rows: Callable[[str | None], list[dict[str, Any]]]
  close: Callable[..., None]


def open_recorder(
  workdir: str | os.PathLike[str],
  *,
  config: dict[str, Any],
  track: Sequence[str] = (),
) -> Recorder:
  """Opens the records of a work folder, and writes settings and environment.

  Args:
    workdir: an existing folder.
    config: resolved settings, as JSON values.
    track: trackers that get the metrics too, see `trackers/table.py`.

  Raises:
    ValueError: a tracker is not installed, or does not start.
  """
  workdir = pathlib.Path(workdir)
  path = workdir / _METRICS
  files.write_json(workdir / 'config.json', config)
  files.write_json(
    workdir / 'environment.json', environment() | _started(workdir)
  )
  tracker = table.open_all(track, workdir, plain(config))

  def changing() -> contextlib.AbstractContextManager[None]:
    return locks.holding(workdir / '.metrics.lock', str(path), wait=True)

  def rows(stage: str | None = None) -> list[dict[str, Any]]:
    return [
      row for row in read(workdir) if stage is None or row['stage'] == stage
    ]

  def truncate(stage: str, step: int) -> None:
    with write_errors.writing(path), changing():
      kept = [r for r in rows() if r['stage'] != stage or r['step'] <= step]
      wanted = ''.join(json.dumps(r) + '\n' for r in kept)
      if _text(path) != wanted:
        files.write_bytes(path, wanted.encode())

  def log(stage: str, step: int, metrics: dict[str, Any]) -> None:
    row = {'stage': stage, 'step': int(step)}
    row |= {name: plain(value) for name, value in metrics.items()}
    with write_errors.writing(path), changing():
      files.append(path, (json.dumps(row) + '\n').encode())
    if track:
      means = {name: float(np.mean(value)) for name, value in metrics.items()}
      # What is not finite is null in the file, and no point of a curve.
      known = {name: x for name, x in means.items() if math.isfinite(x)}
      tracker.write(stage, int(step), known)

  def close(failed: bool = False) -> None:
    tracker.close(failed)

  return Recorder(log, truncate, rows, close)


def read(workdir: str | os.PathLike[str]) -> list[dict[str, Any]]:
  """Reads all rows of a work folder, in order; none where there is no file."""
  text = _text(pathlib.Path(workdir) / _METRICS)
  rows = (_row(line) for line in text.splitlines())
  return [row for row in rows if row is not None]


def _text(path: pathlib.Path) -> str:
  return path.read_text(errors='replace') if path.is_file() else ''


def _row(line: str) -> dict[str, Any] | None:
  """Returns the row of a line, or None for a line that is none."""
  try:
    row = json.loads(line)
  except (ValueError, RecursionError):
    return None
  if not isinstance(row, dict) or not isinstance(row.get('stage'), str):
    return None
  return row if type(row.get('step')) is int else None


def plain(value: Any) -> Any:
  """Converts arrays and numbers to JSON values; not finite becomes None."""
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


def environment() -> dict[str, Any]:
  """Returns versions of packages, the device and the revision of the code."""
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


def _started(workdir: pathlib.Path) -> dict[str, str]:
  """Returns the command and the time of the first process in a folder."""
  path = workdir / 'environment.json'
  if path.is_file():
    # A resumed run, or one whose report is written again.
    try:
      kept = files.read_json(path)
    except ValueError:
      return {}
    return {k: kept[k] for k in ('command', 'started') if k in kept}
  program, *arguments = sys.argv or ['']
  name = os.path.basename(program)
  if name == '__main__.py':
    name = os.path.basename(os.path.dirname(program))
  name = 'coalesce' if name == 'coalesce_jax' else name
  now = datetime.datetime.now(datetime.UTC)
  return {
    'command': shlex.join([name, *arguments]),
    'started': now.isoformat(' ', 'seconds'),
  }


def _driver(device: jax.Device) -> str:
  """Returns the versions of the runtime and of NVIDIA's kernel module."""
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
