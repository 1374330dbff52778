"""Combines generators in their mixture: each sample comes from one of them.

The mixture is not trained. A metamodel of one network can learn from it. An
edge node can use it directly if it can hold all generators (and critics) and
move each sample. For two generators of equal weights it is a W1 barycenter.

Shapes: K nodes, Z latent of a node, S replicas.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import refined_source
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry


def check(
  nodes: Sequence[generator_lib.Generator],
  refine: refined_source.Config | None = None,
  names: Sequence[str] | None = None,
) -> generator_lib.Spec:
  """Checks that generators can be mixed.

  Args:
    nodes: see `mixture`.
    refine: see `mixture`.
    names: names of the generators for the message, such as their files.

  Returns:
    The spec of the first generator.

  Raises:
    ValueError: see `mixture`.
  """
  if len(nodes) > registry.MAX_NODES:
    raise ValueError(
      f'{len(nodes)} generators: a mixture has at most {registry.MAX_NODES}'
    )
  spec = checks.same_architecture(nodes, names)
  called = names or [f'generator {k}' for k in range(len(nodes))]
  if spec.network == registry.MIXTURE:
    raise ValueError(
      f'{called[0]} is a mixture already; mix the generators that it holds'
    )
  critic = (spec.critic, dict(spec.critic_options))
  for name, node in zip(called, nodes, strict=True):
    if node.spec.encodings:
      raise ValueError(
        f'{name} is {", ".join(sorted(node.spec.encodings))}: a mixture would '
        'keep its weights as floats; mix the float generators'
      )
    if refine is None:
      continue
    own = (node.spec.critic, dict(node.spec.critic_options))
    if node.critic is None or own != critic:
      found = 'no critic' if node.critic is None else f'{own[0]!r} {own[1]}'
      raise ValueError(
        'refine needs critics of one architecture with all nodes: '
        f'{name} has {found}, {called[0]} has {critic[0]!r} {critic[1]}'
      )
  return spec


def mixture(
  nodes: Sequence[generator_lib.Generator],
  weights: Any = None,
  refine: refined_source.Config | None = None,
) -> generator_lib.Generator:
  """Returns all nodes as one generator that selects a node for each sample.

  Args:
    nodes: K generators of one architecture. Leaves `[S, ...]` give S mixtures.
      With `refine` a single node is useful too.
    weights: mixing probabilities, `[K]`, sum 1; None is equal weights.
    refine: settings of discriminator optimal transport (DOT), which moves
      latents by the critics of the nodes; None leaves them unchanged.

  Returns:
    A generator of the network 'mixture' with latents `[Z + K]`, whose last K
    values select a node. Its parameters contain the log probabilities `scores`.
    Adaptation trains all nodes together; the critics of DOT stay constant.

  Raises:
    ValueError: architectures differ, weights are invalid or a node is ternary;
      with `refine`, nodes do not all have critics of one architecture.
  """
  nodes = list(nodes)
  spec = check(nodes, refine)
  weights = checks.check_weights(weights, len(nodes))
  options: dict[str, Any] = {'of': spec.network, 'count': len(nodes)}
  options |= {f'of_{name}': value for name, value in spec.options}
  stacked = {'nodes': [n.params for n in nodes]}
  if refine is not None:
    stacked['critics'] = [n.critic for n in nodes]
    options |= {'critic': spec.critic, **dataclasses.asdict(refine)}
    options |= {f'critic_{name}': value for name, value in spec.critic_options}
  # The axis of replicas, if any, comes before that of nodes.
  single = jax.eval_shape(spec.build().init, jax.random.key(0))
  first, one = (jax.tree.leaves(t)[0] for t in (nodes[0].params, single))
  replicas = first.shape[: first.ndim - one.ndim]
  params: types.Params = {
    name: jax.tree.map(lambda *x: jnp.stack(x, len(replicas)), *each)
    for name, each in stacked.items()
  }
  # The bound keeps the logarithm of a weight of 0 finite.
  scores = jnp.log(jnp.maximum(jnp.asarray(weights, jnp.float32), 1e-30))
  params['scores'] = jnp.broadcast_to(scores, (*replicas, len(nodes)))
  return generator_lib.create(
    dataclasses.replace(
      spec,
      network='mixture',
      options=generator_lib.freeze(options),
      latent_size=spec.latent_size + len(nodes),
    ),
    params,
  )
