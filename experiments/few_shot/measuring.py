"""What a method made, measured: over its steps, and at the end.

Shapes: M members, N local samples.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax import bundles
from coalesce_jax import generators
from coalesce_jax import sources
from coalesce_jax import trees
from coalesce_jax.metrics import energy
from coalesce_jax.metrics import evaluate
from experiments import members
from experiments.few_shot import shared


def curves(
  config: Any,
  made: generators.Generator,
  looks: dict[int, Any],
  real: evaluate.Reference,
) -> dict[int, list[float]]:
  """Frechet distance by step, of all M members.

  Args:
    config: of the experiment.
    made: M members.
    looks: step -> their parameters; none are those of `made`, at step 0.
    real: what they are compared with.
  """
  keys = [jax.random.key(shared.LATENTS)] * members.count(made)
  return {
    step: members.frechet(
      made._replace(params=params, critic=None),
      real,
      config.shared.evaluate.curve_samples,
      keys,
    )
    for step, params in (looks or {0: made.params}).items()
  }


def scores(
  config: Any,
  setting: shared.Setting,
  made: generators.Generator,
  local: np.ndarray,
  seed: int,
) -> dict[str, Any]:
  """All measures of one generator, for local samples `[N, H, W, C]`."""
  images = np.asarray(
    made.sample(jax.random.key(10_000 + seed), config.shared.evaluate.samples)
  )
  found: dict[str, Any] = evaluate.evaluate(
    images, setting.problem.reference, local
  )
  held = max(1, round(config.budget.held_out * len(local)))
  found['held_out'] = float(
    energy.energy_distance(
      sources.decode(jnp.asarray(local[-held:])), jnp.asarray(images[:1000])
    )
  )
  found['parameters'] = trees.count(made.params)
  # What MineGAN makes fits no bundle.
  found['bytes'] = (
    4 * found['parameters']
    if 'miners' in made.params
    else bundles.size_bytes(made)
  )
  return found
