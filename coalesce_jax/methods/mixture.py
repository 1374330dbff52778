"""The mixture of generators itself: all of them kept, one drawn for a sample.

No training: what a metamodel of one network learns from, and what an edge node
has that can hold every node's generator (and critic) and pay for the transport
of each sample. Of two generators of equal weights it is a W1 barycenter.

Shapes: K nodes, Z latent of a node, S seeds.
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


def mixture(
  nodes: Sequence[generator_lib.Generator],
  weights: Any = None,
  refine: refined_source.Config | None = None,
) -> generator_lib.Generator:
  """All nodes as one generator that draws among them.

  Args:
    nodes: K generators of one architecture; `[S, ...]` leaves give S mixtures.
      One alone, refined, is moved by its critic.
    weights: `[K]`, sum to 1; None is equal weights.
    refine: moves latents by the nodes' critics.

  Returns:
    A generator of the network 'mixture', of latents `[Z + K]` of which the last
    K draw, with log probabilities `scores` among its parameters. It adapts like
    any other, all nodes together; critics that move latents stay.

  Raises:
    ValueError: architectures differ, bad weights, a ternary node, a node
      without a critic, or with another one, where latents are to be moved.
  """
  nodes = list(nodes)
  spec = checks.same_architecture(nodes)
  weights = checks.check_weights(weights, len(nodes))
  for k, node in enumerate(nodes):
    if node.spec.encodings:
      raise ValueError(
        f'generator {k} is {", ".join(sorted(node.spec.encodings))}: a mixture '
        'would keep its weights as floats'
      )
  options: dict[str, Any] = {'of': spec.network, 'count': len(nodes)}
  options |= {f'of_{name}': value for name, value in spec.options}
  parts = {'nodes': [n.params for n in nodes]}
  if refine is not None:
    critic = (spec.critic, spec.critic_options)
    if any(
      n.critic is None or (n.spec.critic, n.spec.critic_options) != critic
      for n in nodes
    ):
      raise ValueError('refine needs a critic, the same, with every generator')
    parts['critics'] = [n.critic for n in nodes]
    options |= {'critic': spec.critic, **dataclasses.asdict(refine)}
    options |= {f'critic_{name}': value for name, value in spec.critic_options}
  # Seeds lead, where there are any; nodes come next.
  alone = jax.eval_shape(spec.build().init, jax.random.key(0))
  first, one = (jax.tree.leaves(t)[0] for t in (nodes[0].params, alone))
  seeds = first.shape[: first.ndim - one.ndim]
  params: types.Params = {
    name: jax.tree.map(lambda *x: jnp.stack(x, len(seeds)), *each)
    for name, each in parts.items()
  }
  # A weight of 0 is never drawn, and its logarithm is a number.
  scores = jnp.log(jnp.maximum(jnp.asarray(weights, jnp.float32), 1e-30))
  params['scores'] = jnp.broadcast_to(scores, (*seeds, len(nodes)))
  return generator_lib.create(
    dataclasses.replace(
      spec,
      network='mixture',
      options=generator_lib.freeze(options),
      latent_size=spec.latent_size + len(nodes),
    ),
    params,
  )
