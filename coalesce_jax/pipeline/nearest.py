"""The node that is nearest to the local samples: where transfer starts.

Nearest by energy distance in pixels, which an edge node can measure itself.

Shapes: K nodes, S seeds, N local samples.
"""

from collections.abc import Callable, Sequence
import functools

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.metrics import energy
from coalesce_jax.models import generator

# Generated samples of a node that are compared with the local ones.
SAMPLES = 500


def nearest_node(
  nodes: Sequence[generator.Generator], local: jax.Array
) -> generator.Generator:
  """Selects for each seed the node whose samples are nearest to the local ones.

  Args:
    nodes: K generators, each of S seeds, of one architecture.
    local: local samples, `[S, N, H, W, C]`, uint8.

  Returns:
    A generator of S seeds: of each seed the parameters, and the critic, of its
    nearest node.
  """
  return ordered(nodes, local)[0]


def ordered(
  nodes: Sequence[generator.Generator], local: jax.Array
) -> list[generator.Generator]:
  """Orders the nodes of each seed, the nearest to the local samples first.

  Args:
    nodes: see `nearest_node`.
    local: see `nearest_node`.

  Returns:
    K generators of S seeds.
  """
  distances = [
    _distances(node.network.apply, node.spec.latent_size, node.params, local)
    for node in nodes
  ]
  # (K, S) -> (K, S).
  order = np.asarray(jnp.argsort(jnp.stack(distances), 0, stable=True))

  def pick(rank: int, *leaves: jax.Array) -> jax.Array:
    return jnp.stack([leaves[k][s] for s, k in enumerate(order[rank])])

  return [
    nodes[0]._replace(
      params=jax.tree.map(
        functools.partial(pick, rank), *[node.params for node in nodes]
      ),
      critic=jax.tree.map(
        functools.partial(pick, rank), *[node.critic for node in nodes]
      ),
    )
    for rank in range(len(nodes))
  ]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _distances(
  apply: Callable[[types.Params, jax.Array], jax.Array],
  latent_size: int,
  params: types.Params,
  local: jax.Array,
) -> jax.Array:
  """Energy distance of each seed's samples to its local ones, `[S]`."""

  def distance(params: types.Params, images: jax.Array) -> jax.Array:
    z = jax.random.normal(jax.random.key(0), (SAMPLES, latent_size))
    return energy.energy_distance(pixels.decode(images), apply(params, z))

  return jax.vmap(distance)(params, local)
