"""What the precision of products does to what is learned.

Shapes: S seeds.
"""

from collections.abc import Callable
import dataclasses
import time
from typing import Any

import jax
import numpy as np

import coalesce_jax as cj
from coalesce_jax.core import trees
from coalesce_jax.data import datasets
from coalesce_jax.gan import game as game_lib
from coalesce_jax.methods import pretraining
from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import feature_registry
from coalesce_jax.training import loop
from experiments.speed import shapes
from experiments.speed import steps as steps_lib


def measure(
  dataset: str,
  width: int,
  config: game_lib.Config,
  *,
  seeds: int,
  steps: int,
  samples: int,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """Frechet distances of generators trained in every precision, alike else.

  Args:
    dataset: by name, one with a committed feature network.
    width: of generator and critic.
    config: of the game.
    seeds: S, trained as one program.
    steps: generator updates.
    samples: of each generator that are scored.
    seed: from which parameters and random numbers follow, the same in every
      precision.
    stop: whether a stop was asked for.

  Returns:
    A row a precision: squared Frechet distances to the held-out split, `[S]`,
    their mean and standard deviation, and the seconds of training; `real` is
    the distance of as many real images.
  """
  train, test = (datasets.load(dataset, part) for part in datasets.SPLITS)
  real = evaluate.reference(
    feature_registry.load(dataset), test.images, train.images
  )
  size, _, channels = test.images.shape[1:]
  spec = shapes.Network(size, channels, width).spec()
  key, key_draw = jax.random.split(jax.random.key(seed))
  keys = jax.random.split(key, seeds)
  draws = jax.random.split(key_draw, seeds)
  rows = []
  for name in steps_lib.precisions():
    settings = pretraining.Config(
      game=dataclasses.replace(config, precision=name),
      schedule=loop.Schedule(steps=steps, chunk=50),
      decay=False,
    )
    began = time.perf_counter()
    (made,), _ = cj.pretrain(
      keys, [train.images], spec, config=settings,
      hooks=lambda part: loop.Hooks(stop=stop),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    members = [
      made._replace(params=params, critic=None)
      for params in trees.unstack(made.params)
    ]
    scores = [
      evaluate.quick(np.asarray(member.sample(draw, samples)), real)
      for member, draw in zip(members, draws, strict=True)
    ]
    rows.append(
      {
        'precision': name,
        'dataset': dataset,
        'width': width,
        'steps': steps,
        'frechet': scores,
        'mean': float(np.mean(scores)),
        'deviation': float(np.std(scores, ddof=1)) if seeds > 1 else 0.0,
        'real': real.floor,
        'seconds': seconds,
      }
    )
  return {'rows': rows}
