"""How near samples come to test images, by runtime."""

from collections.abc import Sequence
import pathlib
import tempfile
from typing import Any

import numpy as np

from coalesce_jax.data import datasets
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import features
from coalesce_jax.metrics import frechet
from coalesce_jax.training import loop
from coalesce_jax.trials import trials
from experiments.edge_runtimes import runtimes


def measure(
  config: Any, folder: pathlib.Path, names: Sequence[str], stop: trials.Stop
) -> dict[str, Any]:
  """Returns `frechet`, distances of samples to test images by runtime.

  Args:
    config: see `configs/default.py`.
    folder: of the files.
    names: of the runtimes.
    stop: whether a stop was asked for.

  Raises:
    RuntimeError: a process failed.
    loop.Interrupted: `stop` said so.
  """
  found: dict[str, float] = {}
  if not config.features:
    return {'frechet': found}
  network = feature_registry.load(config.features)

  def moments(images: np.ndarray) -> frechet.Moments:
    return frechet.moments(features.extract(network, images)[0])

  real = moments(datasets.load(config.features, 'test').images)
  # A process makes as many images at a time as there are rows of LATENTS.
  at_once, size = np.load(folder / runtimes.LATENTS).shape
  shape = (-(-config.samples // at_once) * at_once, size)
  z = np.random.default_rng([config.seed, 1]).standard_normal(shape, np.float32)
  with tempfile.TemporaryDirectory() as scratch:
    latents, kept = (str(pathlib.Path(scratch) / f'{k}.npy') for k in 'zx')
    np.save(latents, z)
    for name in names:
      if name == runtimes.EMPTY:
        continue
      if stop():
        raise loop.Interrupted('between two runtimes')
      with runtimes.Process(name, folder, runtimes.core(config.core)) as one:
        one.ask(save=kept, latents=latents)
      found[name] = frechet.frechet_squared(
        moments(np.load(kept)[: config.samples]), real
      )
  return {'frechet': found}
