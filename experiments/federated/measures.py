"""What is measured beside accuracy, and what controls are made of.

Shapes: S seeds, T tasks, F filters of a gated convolution.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.data import omniglot
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import evaluation
from coalesce_jax.federated import learn
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import settings
from coalesce_jax.networks import gated


def random_masks(result: dict[str, Any], config: Any) -> tuple[jax.Array, ...]:
  """Returns masks `[S, T, F]` that open as many channels as another row's."""
  rng, found = np.random.default_rng(config.seed), []
  for shares in result['open']:
    size = len(shares)
    count = max(1, round(float(np.sum(shares))))
    order = rng.random((config.seeds, config.tasks, size)).argsort(-1)
    found.append(jnp.asarray(order < count, jnp.float32))
  return tuple(found)


def overlap(
  scores: evaluation.Scores, topics: list[frozenset[Any]]
) -> dict[str, float | None]:
  """Returns how alike the gates of tasks of different test nodes are.

  Alike is 1 minus the mean difference of the shares of images that open a
  channel. Nodes are similar if they share at least half of their topics, and
  dissimilar if they share none.

  Args:
    scores: scores of `[S, T]` tasks, of all nodes in turn.
    topics: topics of each node; [] for a network without gates.

  Returns:
    Means over pairs of nodes and seeds; None where there is no pair.
  """
  shares = np.concatenate([np.asarray(g) for g in scores.gates], -1)
  count = len(topics)
  # Tasks of a node are averaged; there may be fewer tasks than nodes.
  means = [shares[:, i::count].mean(1) for i in range(count)
           if i < shares.shape[1]]  # fmt: skip
  found: dict[str, list[float]] = {'similar': [], 'dissimilar': []}
  for i, one in enumerate(means):
    for j, other in enumerate(means[:i]):
      common = len(topics[i] & topics[j]) / len(topics[i] | topics[j])
      alike = float(1.0 - np.abs(one - other).mean())
      if common >= 0.5:
        found['similar'].append(alike)
      elif not common:
        found['dissimilar'].append(alike)
  return {k: float(np.mean(v)) if v else None for k, v in found.items()}


def bytes_per_round(meta: learn.Meta, how: settings.Config, count: int) -> int:
  """Counts the bytes that all nodes of a round receive and send, in float32.

  Args:
    meta: what is learned.
    how: the settings.
    count: number of nodes that learn; a round has at most so many.
  """
  params = dict(meta.member(0).params)
  if not how.one_step:
    del params[meta_lib.RATES]
  if how.personal_gates:
    del params[gated.GATES]
  return 2 * 4 * trees.count(params) * min(how.nodes, count)


def more_ways(meta: learn.Meta, ways: int) -> tuple[classifier.Spec, Any]:
  """Returns a network with more outputs, each the mean of those learned."""
  spec = dataclasses.replace(meta.spec, classes=ways)
  head = jax.tree.map(
    lambda leaf: jnp.repeat(jnp.mean(leaf, -1, keepdims=True), ways, -1),
    meta.params[gated.BACKBONE]['logits'],
  )
  backbone = {**meta.params[gated.BACKBONE], 'logits': head}
  return spec, {**meta.params, gated.BACKBONE: backbone}


def official(
  runs: Sequence[omniglot.Run],
  meta: learn.Meta,
  how: settings.Config,
  scale: float,
) -> list[float]:
  """Returns mean accuracies of one-shot runs after one step, by seed.

  Args:
    runs: the runs, of as many characters each.
    meta: of S seeds.
    how: the settings.
    scale: multiplies the step sizes.
  """
  count = len(runs[0].support)
  spec, params = more_ways(meta, count)
  ones = jnp.ones(count)
  drawn = [
    tasks.Task(
      tasks.Batch(
        jnp.asarray(run.support), jnp.arange(count, dtype=jnp.int32), ones
      ),
      tasks.Batch(
        jnp.asarray(run.query), jnp.asarray(run.answers, jnp.int32), ones
      ),
    )
    for run in runs
  ]
  score = evaluation.scorer(spec, how, True)
  found = score(params, trees.stack(drawn), scale).accuracy
  return [float(x) for x in np.mean(found, 1)]
