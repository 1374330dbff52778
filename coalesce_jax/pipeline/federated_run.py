"""Federated meta-learning in a work folder: bundles, scores, report.

Shapes: S seeds, T tasks.
"""

from collections.abc import Callable, Sequence
import os
import pathlib
from typing import Any

import numpy as np

from coalesce_jax.core import files
from coalesce_jax.federated import classifier
from coalesce_jax.federated import classifier_files
from coalesce_jax.federated import evaluation
from coalesce_jax.federated import learn
from coalesce_jax.pipeline import federated_config
from coalesce_jax.pipeline import federated_data
from coalesce_jax.pipeline import keys
from coalesce_jax.pipeline import replica_files
from coalesce_jax.runs import records
from coalesce_jax.runs import report
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.runs.trackers import table

# Another stream of tasks than that of early stopping.
_TEST_SEED = 1


def run(
  config: Any,
  workdir: str,
  out: str | None = None,
  stop: Callable[[], bool] = lambda: False,
  track: Sequence[str] = (),
) -> dict[str, Any]:
  """Learns meta-parameters, scores them on held-out nodes, writes a report.

  Args:
    config: see `federated_defaults`.
    workdir: folder of everything that the run leaves behind.
    out: file of the meta-parameters; None is 'meta.safetensors' in the folder.
      Replicas after the first get '_s1', '_s2' in its name.
    stop: whether a stop was asked for.
    track: trackers that get the metrics too.

  Returns:
    What the command prints.

  Raises:
    ValueError: bad settings or data; one line.
    loop.Interrupted: after a stop request, once the state is saved.
  """
  table.check(track)
  learning = federated_config.validate(config)
  first = out or os.path.join(workdir, 'meta.safetensors')
  paths = replica_files.paths(first, config.seeds)
  settings = records.plain(config.to_dict())
  workdir_lib.check(workdir, settings)
  problem = federated_data.load(config)
  spec = federated_config.spec(
    config, problem.train.images.shape[1:], problem.classes
  )
  drawn = evaluation.draw(problem.test, problem.shape, config.tasks, _TEST_SEED)
  with workdir_lib.open_workspace(
    workdir, config=settings, stop=stop, track=track
  ) as work:
    meta, _ = learn.metagater(
      keys.of_seeds(config.seed, config.seeds), problem.train, spec,
      problem.shape, config=learning, validation=problem.validation,
      hooks=work.hooks(None)('meta'),
    )  # fmt: skip
    meta = meta._replace(fixed=problem.fixed)
    scores = evaluation.scorer(spec, learning, True)(meta.params, drawn)
    for s, path in enumerate(paths):
      classifier_files.save(path, meta.member(s))
    summary = summarised(scores, spec)
    files.write_json(pathlib.Path(workdir) / 'scores.json', summary)
    report.write_folder(work.path)
  return {'meta': paths[0], **summary, 'workdir': workdir}


def summarised(
  scores: evaluation.Scores, spec: classifier.Spec
) -> dict[str, Any]:
  """Returns means over tasks and seeds as JSON values.

  Args:
    scores: scores of tasks, `[S, T]` each.
    spec: the network.

  Returns:
    Means of the scores; `interval` is the half width of the 95 % interval of
    the accuracy over tasks, of means over seeds; `macs_all` counts all channels
    without gates.
  """
  accuracy = np.asarray(scores.accuracy)
  per_task = accuracy.mean(0)
  return {
    'accuracy': round(float(accuracy.mean()), 4),
    'interval': round(
      float(1.96 * per_task.std(ddof=1) / np.sqrt(len(per_task)))
      if len(per_task) > 1
      else 0.0,
      4,
    ),
    'before': round(float(np.mean(scores.before)), 4),
    'macs': round(float(np.mean(scores.macs))),
    'static_accuracy': round(float(np.mean(scores.static_accuracy)), 4),
    'static_macs': round(float(np.mean(scores.static_macs))),
    'macs_all': classifier.dense(spec),
  }
