"""Measures of a method's generators: over its steps, and at the end.

Shapes: M replicas, D sets of N local samples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.data import pixels
from coalesce_jax.gan import local_samples
from coalesce_jax.metrics import energy
from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import features
from coalesce_jax.metrics import frechet
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.trials import setting as setting_lib

# Seed of the latents of all curves: candidates are compared on the same ones.
LATENTS = 20_000


def curves(
  setting: setting_lib.Setting,
  made: generator.Generator,
  by_step: Mapping[int, Any],
  real: evaluate.Reference,
  local: np.ndarray,
  sets: Mapping[str, Sequence[int]],
) -> dict[str, dict[int, list[float]]]:
  """Measures all M replicas by step.

  Args:
    setting: says how many samples are generated.
    made: M replicas.
    by_step: their parameters by step; none are those of `made`, at step 0.
    real: what they are compared with.
    local: sets of local samples, `[D, N, H, W, C]`.
    sets: by name of a measure the numbers of M sets, one a replica.

  Returns:
    `frechet`, and by name of each measure the fraction of generated samples
    that are copies of images of the replica's set (see
    `evaluate.memorisation`): by step, a list over replicas.
  """
  count = ensembles.count(made)
  copied = [
    evaluate.copies(real.features, features.extract(real.network, images)[0])
    for images in local
  ]
  key = jax.random.key(LATENTS)
  samples = setting.config.evaluate.curve_samples
  found: dict[str, dict[int, list[float]]] = {}
  for step, params in (by_step or {0: made.params}).items():
    at = made._replace(params=params, critic=None)
    for i in range(count):
      images = ensembles.member(at, i).sample(key, samples)
      fake, _ = features.extract(real.network, np.asarray(images))
      row = {
        'frechet': frechet.frechet_squared(frechet.moments(fake), real.moments),
        **{name: copied[of[i]](fake) for name, of in sets.items()},
      }
      for name, value in row.items():
        found.setdefault(name, {}).setdefault(step, []).append(value)
  return found


def scores(
  setting: setting_lib.Setting,
  made: generator.Generator,
  local: np.ndarray,
  *,
  held_out: float,
  seed: int,
) -> dict[str, Any]:
  """Measures one generator at the end.

  Args:
    setting: what it is compared with, and by how many samples.
    made: without ensemble axes.
    local: its local samples, `[N, H, W, C]`.
    held_out: fraction of them that it was not trained on.
    seed: of its latents.

  Returns:
    All measures of `evaluate.evaluate`; `held_out`, the energy distance to the
    local samples that were held out; the number of `parameters`.
  """
  images = np.asarray(
    made.sample(jax.random.key(10_000 + seed), setting.config.evaluate.samples)
  )
  found: dict[str, Any] = evaluate.evaluate(
    images, setting.problem.reference, local
  )
  # Where none is held out, all of them.
  held = local_samples.held_out(len(local), held_out)
  found['held_out'] = float(
    energy.energy_distance(
      pixels.decode(jnp.asarray(local[-held:])), jnp.asarray(images[:1000])
    )
  )
  found['parameters'] = trees.count(made.params)
  return found
