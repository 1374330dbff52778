"""One run of S seeds against S single runs: the same numbers, at what cost.

Shapes: S seeds.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.methods import adaptation
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data
from coalesce_jax.pipeline import keys as keys_lib
from coalesce_jax.training import loop
from coalesce_jax.trials import timing


def measure(
  shared: Any,
  *,
  seeds: int,
  steps: int,
  rounds: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """Adapts new generators, together and one by one.

  Args:
    shared: settings of the pipeline.
    seeds: S.
    steps: of adaptation.
    rounds: timed turns of each.
    stop: whether a stop was asked for.

  Returns:
    `difference` of all parameters (norm of the difference over the norm of what
    training changed, the largest over seeds), `moved`, the norm of what it
    changed over that of the start, `w1_difference` of the distance estimates
    over all steps, relative to the largest; `ratio`, seconds of S single runs
    over those of the run of S, set-up and tracing included, and `seconds` of
    both, medians.
  """
  changes = {'seeds': seeds, 'adapt.steps': steps}
  changes |= {'adapt.chunk': loop.chunk_of(steps)}
  for field in ('observe_every', 'select_every', 'warmup'):
    changes[f'adapt.{field}'] = 0
  made = config_lib.override(shared, changes)
  problem = data.load(made)
  config, spec = config_lib.adapted(made), problem.spec
  keys = keys_lib.of_seeds(made.seed, seeds)
  start = jax.vmap(spec.build().init)(keys)
  critics = jax.vmap(spec.build_critic().init)(keys)
  meta = generator.Generator(spec.build(), start, spec, critics)
  local = jnp.asarray(problem.local)

  def together() -> tuple[Any, np.ndarray]:
    found, history = adaptation.adapt(keys, meta, local, config=config)
    return jax.block_until_ready(found.params), history['w1']

  def alone() -> tuple[Any, np.ndarray]:
    parts, histories = [], []
    for s in range(seeds):
      if stop():
        raise loop.Interrupted('while seeds are compared')
      one = meta._replace(
        params=trees.member(start, s), critic=trees.member(critics, s)
      )
      found, history = adaptation.adapt(keys[s], one, local[s], config=config)
      parts.append(jax.block_until_ready(found.params))
      histories.append(history['w1'])
    return trees.stack(parts), np.stack(histories, 1)

  (ours, w1), (theirs, w1_alone) = together(), alone()
  spent = timing.interleave(
    {'together': together, 'alone': alone}, rounds=rounds, warm=False, stop=stop
  )
  return {
    'seeds': seeds,
    'steps': steps,
    'difference': max(_apart(ours, theirs, start)),
    'moved': min(_apart(theirs, start, jax.tree.map(jnp.zeros_like, start))),
    'w1_difference': float(
      np.abs(w1 - w1_alone).max() / np.abs(w1_alone).max()
    ),
    'ratio': timing.ratio(spent['alone'], spent['together']),
    'seconds': {name: timing.median(times) for name, times in spent.items()},
  }


def _apart(a: Any, b: Any, start: Any) -> list[float]:
  """Norm of the difference of a and b over that of b and the start, `[S]`."""

  def squares(x: Any, y: Any) -> np.ndarray:
    return sum(
      np.sum(np.square(np.asarray(p - q)).reshape(len(p), -1), 1)
      for p, q in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
    )

  return np.sqrt(squares(a, b) / squares(b, start)).tolist()
