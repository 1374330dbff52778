"""Scores translated images against held-out targets.

Shapes: N translated images, M targets, H, W, D image.
"""

from typing import Any

import numpy as np

from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import features as features_lib
from coalesce_jax.metrics import image_scores
from coalesce_jax.metrics import imagenet


def features(
  shape: tuple[int, ...], name: str | None = None
) -> features_lib.Features:
  """Returns the network whose features are compared.

  Args:
    shape: (H, W, D) of the images.
    name: one of `feature_names.NAMES`. None is 'imagenet' for colour images if
      its extra is installed, otherwise 'random'.

  Raises:
    ValueError: the network does not take such images, or is not installed.
  """
  if name is None:
    usable = shape[-1] == 3 and max(shape[:2]) <= 2 * min(shape[:2])
    name = 'imagenet' if usable and imagenet.installed() else 'random'
  return feature_registry.named(name, shape)


def score(
  made: Any,
  target: Any,
  paired: bool,
  *,
  train: Any = None,
  network: features_lib.Features | None = None,
) -> dict[str, Any]:
  """Scores translated images.

  Args:
    made: `[N, H, W, D]` in [-1, 1].
    target: `[M, H, W, D]`, uint8 or in [-1, 1].
    paired: whether `target[k]` is the truth of `made[k]`.
    train: targets for training, for the floors; None splits `target`.
    network: feature network; None is `features` of the shape.

  Returns:
    Scores by name: those of `evaluate.evaluate` with `features`, the name of
    the network; with pairs `l1`, `psnr` and `ssim` of `image_scores` too.
    The distributions are compared where there are at least
    `evaluate.MIN_SAMPLES` images.
  """
  made = np.asarray(made)
  found: dict[str, Any] = {}
  if paired:
    found |= image_scores.evaluate(made, np.asarray(target))
  if min(len(made), len(target)) < evaluate.MIN_SAMPLES:
    return found
  network = network or features(tuple(target.shape[1:]))
  real = evaluate.reference(network, target, train, in_range=True)
  return {**found, **evaluate.evaluate(made, real), 'features': network.name}
