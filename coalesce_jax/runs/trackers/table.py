"""Lists the trackers of experiments, and opens those that a run names.

`--track=NAME,...` names them. The package of a tracker is imported when a run
names the tracker. A tracker that fails during a run is left out from then on,
with a warning: training goes on, and `metrics.jsonl` has every row.
"""

from collections.abc import Callable, Mapping, Sequence
import importlib
import pathlib
from typing import Any, NamedTuple

from absl import logging

# Name of a tracker -> the package that writes its records. The module of this
# folder and the extra of `pip install` have the name of the tracker.
PACKAGES = {
  'tensorboard': 'tensorboardX',
  'wandb': 'wandb',
  'mlflow': 'mlflow',
}


class Tracker(NamedTuple):
  """The functions of an open tracker.

  Attributes:
    write: ``(stage, step, numbers) -> None``, records metrics by their names.
    close: ``failed -> None``, ends the record and says whether the run failed.
  """

  write: Callable[[str, int, Mapping[str, float]], None]
  close: Callable[[bool], None]


def check(names: Sequence[str]) -> None:
  """Checks that trackers are known and installed.

  Raises:
    ValueError: one is not; the line names the extra to install.
  """
  for name in names:
    if name not in PACKAGES:
      raise ValueError(
        f'tracker {name!r:.80} is not one of {", ".join(PACKAGES)}'
      )
    try:
      importlib.import_module(PACKAGES[name])
    except ImportError as error:
      raise ValueError(
        f'--track={name}: {PACKAGES[name]} cannot be imported '
        f'({str(error).splitlines()[0][:200]}); install the extra: '
        f"pip install 'coalesce_jax[{name}]'"
      ) from None


def open_all(
  names: Sequence[str], folder: pathlib.Path, config: Mapping[str, Any]
) -> Tracker:
  """Opens trackers, which are then used as one.

  Args:
    names: names of `PACKAGES`; a name that comes twice counts once.
    folder: the work folder, which exists.
    config: settings of the run.

  Raises:
    ValueError: a tracker is unknown, not installed, or refuses to start.
  """
  check(names)
  opened: dict[str, Tracker] = {}

  def each(what: str, call: Callable[[Tracker], None]) -> None:
    for name, tracker in list(opened.items()):
      try:
        call(tracker)
      except Exception as error:
        # Packages raise what they like when a server or a disk fails.
        line = next(iter(str(error).splitlines()), type(error).__name__)
        logging.warning('--track=%s: cannot %s (%s)', name, what, line[:200])
        del opened[name]

  def write(stage: str, step: int, numbers: Mapping[str, float]) -> None:
    each(
      'record, and is left out', lambda tracker: tracker.write(
        stage, step, numbers
      ),
    )  # fmt: skip

  def close(failed: bool) -> None:
    each('end its record', lambda tracker: tracker.close(failed))
    opened.clear()

  for name in dict.fromkeys(names):
    module = importlib.import_module(f'coalesce_jax.runs.trackers.{name}')
    try:
      opened[name] = module.start(folder, config)
    except Exception as error:
      close(True)
      line = next(iter(str(error).splitlines()), type(error).__name__)
      raise ValueError(
        f'--track={name}: does not start ({line[:160]}); {module.ADVICE}'
      ) from None
  return Tracker(write, close)


def flat(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Returns settings with the names of sections joined by dots."""
  found: dict[str, Any] = {}
  for name, value in config.items():
    if isinstance(value, Mapping):
      found |= flat(value, f'{prefix}{name}.')
    else:
      found[f'{prefix}{name}'] = value
  return found
