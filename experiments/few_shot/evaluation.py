"""What a method made, measured: over its steps, and at the end.

Shapes: M members, N local samples.
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
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from experiments.few_shot import starts


def curves(
  config: Any,
  made: generator.Generator,
  looks: dict[int, Any],
  real: evaluate.Reference,
  draws: np.ndarray,
  clouds: Mapping[str, Sequence[int]],
) -> dict[str, dict[int, list[float]]]:
  """Scores by step, of all M members.

  Args:
    config: of the experiment.
    made: M members.
    looks: step -> their parameters; none are those of `made`, at step 0.
    real: what they are compared with.
    draws: of local samples, `[D, N, H, W, C]`.
    clouds: name -> M numbers of draws, one a member.

  Returns:
    `frechet`, and by the name of each cloud the fraction of samples that are
    copies of the images of its draw (see `evaluate.memorisation`).
  """
  count = ensembles.count(made)
  copied = [
    evaluate.copies(real.features, features.extract(real.network, draw)[0])
    for draw in draws
  ]
  key, samples = jax.random.key(starts.LATENTS), config.shared.evaluate
  found: dict[str, dict[int, list[float]]] = {}
  for step, params in (looks or {0: made.params}).items():
    at = made._replace(params=params, critic=None)
    for i in range(count):
      images = ensembles.member(at, i).sample(key, samples.curve_samples)
      fake, _ = features.extract(real.network, np.asarray(images))
      row = {
        'frechet': frechet.frechet_squared(frechet.moments(fake), real.moments),
        **{name: copied[draw[i]](fake) for name, draw in clouds.items()},
      }
      for name, value in row.items():
        found.setdefault(name, {}).setdefault(step, []).append(value)
  return found


def scores(
  config: Any,
  setting: starts.Setting,
  made: generator.Generator,
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
  # Where none is, all of them.
  held = local_samples.held_out(len(local), config.budget.held_out)
  found['held_out'] = float(
    energy.energy_distance(
      pixels.decode(jnp.asarray(local[-held:])), jnp.asarray(images[:1000])
    )
  )
  found['parameters'] = trees.count(made.params)
  # What MineGAN makes fits no bundle.
  found['bytes'] = (
    4 * found['parameters']
    if 'miners' in made.params
    else bundle.size_bytes(made)
  )
  return found
