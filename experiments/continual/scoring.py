"""Scores the generator of a task on data that nothing was trained on.

Shapes: S seeds, N images.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.continual import stream
from coalesce_jax.continual import tasks as tasks_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.data import partition
from coalesce_jax.data import pixels
from coalesce_jax.gan import sources
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import features as features_lib
from coalesce_jax.metrics import frechet
from coalesce_jax.metrics import image_scores
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.translation import training

# Samples or images that are made at once.
_BATCH = 500
# Lower is better in all of them; the first one is the main score.
MEASURES = {'translation': ('l1', 'dssim'), 'latents': ('frechet', 'error')}


def translation(
  options: dict[str, Any],
) -> Callable[..., dict[str, jax.Array]]:
  """Returns L1 and 1 - SSIM of a translator, as a `Task` evaluates it."""

  def evaluate(
    network: types.Network, params: types.Params, images: training.Data
  ) -> dict[str, jax.Array]:
    made = training.translate(network, params, images.held_condition, options)
    target = pixels.decode(images.held_target)
    return {
      'l1': jnp.mean(image_scores.l1(made, target)),
      'dssim': 1.0 - jnp.mean(image_scores.ssim(made, target)),
    }

  return evaluate


class Latents:
  """Scores of generators of latents, in features of committed classifiers."""

  def __init__(self, data: dict[str, tuple[str, Any]], samples: int):
    """Makes the scores.

    Args:
      data: by name of the task its data, as 'mnist:0-4', and test images.
      samples: generated samples of each score.
    """
    self._data, self._samples = data, samples
    self._moments = functools.cache(self._reference)

  def _network(self, task: str) -> features_lib.Features:
    return feature_registry.load(self._data[task][0].partition(':')[0])

  def _reference(self, task: str) -> frechet.Moments:
    return frechet.moments(self._features(task, self._data[task][1])[0])

  def _features(self, task: str, images: Any) -> tuple[np.ndarray, float]:
    """Returns features, and the share of images of none of its classes."""
    found, chances = features_lib.extract(self._network(task), images)
    classes = self._data[task][0].partition(':')[2]
    if not classes:
      return found, float('nan')
    wanted = partition.parse(f'{classes}->{classes}').target
    return found, float(np.mean(~np.isin(chances.argmax(1), wanted)))

  def of_images(self, task: str, images: Any) -> dict[str, float]:
    """Returns the scores of images."""
    found, error = self._features(task, images)
    far = frechet.frechet_squared(frechet.moments(found), self._moments(task))
    return {'frechet': far, 'error': error}

  def __call__(
    self,
    model: stream.Model | None,
    task: tasks_lib.Task,
    batched: bool,
  ) -> dict[str, np.ndarray] | None:
    """Returns the scores of a generator, see `stream.run`."""
    if model is None:
      return None
    keys = jax.random.split(jax.random.key(0), -(-self._samples // _BATCH))
    prior = task.held_out[-1]
    apply = generator_lib.jitted(model.network.apply)
    rows = []
    for s in range(len(jax.tree.leaves(model.params)[0]) if batched else 1):
      params = trees.member(model.params, s) if batched else model.params
      made = [
        np.asarray(apply(params, sources.draw_one(prior, key, _BATCH)))
        for key in keys
      ]
      rows.append(
        self.of_images(task.name, np.concatenate(made)[: self._samples])
      )
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return values if batched else {k: v[0] for k, v in values.items()}
