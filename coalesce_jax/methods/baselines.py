"""Trains the baselines of coalescing, each a setting of the game.

* Edge-only: learns from the local samples alone, from random networks.
* Transfer: fine-tunes the generator and critic of one node at a tenth of the
  learning rate (Wang et al., "Transferring GANs",
  https://arxiv.org/abs/1805.01677). FreezeD is an option (Mo et al.,
  https://arxiv.org/abs/2002.10964).
* Ensemble: fine-tunes the generator of one node on the mixture of local samples
  and samples of all nodes.
* Model average: takes the mean of the nodes' parameters, without training.

Shapes: K nodes, N local samples, S replicas.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import local_targets
from coalesce_jax.methods import replicas
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop

# The image-side layers of the DCGAN critics.
FREEZE_D = ('conv_0/.*', 'conv_1/.*')


def edge_only(
  key: types.PRNGKey,
  spec: generator_lib.Spec,
  images: Any,
  *,
  config: fine_tuning.Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[generator_lib.Generator, loop.History]:
  """Learns a generator from the local samples alone.

  Args:
    key: one key, or `[S]` keys; consumed.
    spec: architecture.
    images: local samples, `[N, ...]` or `[S, N, ...]`.
    config: settings; its `anchor` is not used.
    hooks: maps the name of a stage to its effects. The stage is 'edge_only'.

  Returns:
    The generator and the history.
  """
  key = keys_lib.typed(key)
  config = fine_tuning.default(spec) if config is None else config
  network = spec.build()
  start = replicas.each(lambda k: network.init(jax.random.fold_in(k, 1)), key)
  fresh = generator_lib.Generator(network, start, spec)
  config = dataclasses.replace(config, warmup=0)
  return fine_tuning.fit(
    key, fresh, images, config=_plain(config), hooks=hooks, part='edge_only'
  )


def transfer(
  key: types.PRNGKey,
  node: generator_lib.Generator,
  images: Any,
  *,
  config: fine_tuning.Config | None = None,
  hooks: loop.HooksFor | None = None,
  rate: float = 0.1,
  freeze: tuple[str, ...] = (),
) -> tuple[generator_lib.Generator, loop.History]:
  """Fine-tunes the generator and critic of one node.

  Args:
    key: see `edge_only`.
    node: generator with its critic.
    images: see `edge_only`.
    config: settings; its `anchor` is not used.
    hooks: maps the name of a stage to its effects. The stage is 'transfer'.
    rate: multiplies the learning rates.
    freeze: patterns of critic leaves that stay constant, `FREEZE_D` for
      FreezeD.

  Returns:
    The generator and the history.
  """
  config = _plain(config or fine_tuning.default(node.spec))
  config = dataclasses.replace(
    config,
    rate=np.multiply(config.rate, rate),
    warmup=0,
    game=dataclasses.replace(config.game, freeze=freeze),
  )
  return fine_tuning.fit(
    key, node, images, config=config, hooks=hooks, part='transfer'
  )


def ensemble(
  key: types.PRNGKey,
  nodes: Sequence[generator_lib.Generator],
  images: Any,
  *,
  config: fine_tuning.Config | None = None,
  hooks: loop.HooksFor | None = None,
  share: Any = None,
) -> tuple[generator_lib.Generator, loop.History]:
  """Trains against one critic on the mixture of local and node samples.

  Args:
    key: see `edge_only`.
    nodes: K generators of one architecture.
    images: see `edge_only`.
    config: settings; its `anchor` is not used.
    hooks: maps the name of a stage to its effects. The stage is 'ensemble'.
    share: mixing probability of all nodes together, a number or `[S]`. None
      makes each node and the local samples equally likely.

  Returns:
    The generator and the history.
  """
  config = _plain(config or fine_tuning.default(nodes[0].spec))
  spec = checks.same_architecture(list(nodes))
  if share is None:
    share = len(nodes) / (len(nodes) + 1.0)
  return fine_tuning.fit(
    key, nodes[0], images, config=config, hooks=hooks, part='ensemble',
    targets=local_targets.pooled(nodes[0].network, spec.latent_size),
    args=(tuple(node.params for node in nodes),), share=share,
  )  # fmt: skip


def model_average(
  nodes: Sequence[generator_lib.Generator], weights: Any = None
) -> generator_lib.Generator:
  """Returns the weighted mean of the nodes' generator parameters.

  Args:
    nodes: K generators of one architecture.
    weights: `[K]`, sum 1; None is equal weights.

  Returns:
    A generator without a critic.

  Raises:
    ValueError: architectures differ, or weights are invalid.
  """
  spec = checks.same_architecture(list(nodes))
  weights = checks.check_weights(weights, len(nodes))
  params = jax.tree.map(
    lambda *leaves: sum(
      jnp.float32(w) * leaf for w, leaf in zip(weights, leaves, strict=True)
    ),
    *[node.params for node in nodes],
  )
  return generator_lib.Generator(nodes[0].network, params, spec)


def _plain(config: fine_tuning.Config) -> fine_tuning.Config:
  """Returns settings with one critic and the objective 'w1'."""
  return dataclasses.replace(
    config,
    anchor=0.0,
    game=dataclasses.replace(config.game, objective='w1'),
  )
