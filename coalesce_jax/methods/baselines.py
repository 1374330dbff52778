"""What a user would try instead of coalescing; each is the same game.

* edge-only: from random networks, on the local samples alone.
* transfer: from one node's generator and critic, at a tenth of the rate
  (Wang et al., "Transferring GANs", https://arxiv.org/abs/1805.01677), with
  FreezeD (Mo et al., https://arxiv.org/abs/2002.10964) where asked for.
* ensemble: from one node's generator, on the node generators' samples and the
  local samples pooled into one source.
* model average: the mean of the nodes' parameters, untrained.

Shapes: K nodes, N local samples, S seeds.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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
  """Learns from the local samples alone.

  Args:
    key: one key, or `[S]` keys; consumed.
    spec: architecture.
    images: `[N, ...]` or `[S, N, ...]`.
    config: settings; its anchor is not used.
    hooks: effects; called with 'edge_only'.

  Returns:
    Generator and history.
  """
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
  """Fine-tunes one node's generator and critic.

  Args:
    key: as in `edge_only`.
    node: the pretrained pair.
    images: as in `edge_only`.
    config: settings; its anchor is not used.
    hooks: effects; called with 'transfer'.
    rate: multiplies the learning rates.
    freeze: critic leaves that stay, `FREEZE_D` for FreezeD.

  Returns:
    Generator and history.
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
  """One critic on the pooled samples of all nodes and the edge.

  Args:
    key: as in `edge_only`.
    nodes: K generators of one architecture.
    images: as in `edge_only`.
    config: settings; its anchor is not used.
    hooks: effects; called with 'ensemble'.
    share: probability of the nodes together, a number or `[S]`; None is that
      each of them and the edge are equally likely.

  Returns:
    Generator and history.
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
  """The weighted mean of the nodes' generator parameters.

  Args:
    nodes: K generators of one architecture.
    weights: `[K]`, sum to 1; None is equal weights.

  Returns:
    A generator without a critic.
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
  """One critic and the plain objective."""
  return dataclasses.replace(
    config,
    anchor=0.0,
    game=dataclasses.replace(config.game, objective='w1'),
  )
