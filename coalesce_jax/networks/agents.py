"""Defines the recurrent network that decides which channels to keep.

Layers of another network are a sequence of tokens. A bidirectional recurrent
network reads them, so that what is decided for one layer depends on all others.
The sizes follow the public code of Ganjdanesh et al. for pruning classifiers.

Shapes: L layers, C channels of a layer.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

TOKEN = 64
_HIDDEN = 128
# Size of the summary that another agent reads.
SUMMARY = 2 * _HIDDEN


class Agent(nn.Module):
  """Maps tokens of layers to a logit for each of their channels.

  A GRU reads the tokens in both directions. Layer normalisation, a ReLU and one
  linear map for each layer, with normalised weights and without bias, follow.

  Attributes:
    sizes: C of each layer.
  """

  sizes: tuple[int, ...]

  @nn.compact
  def __call__(
    self, tokens: jax.Array, memory: jax.Array
  ) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Returns logits `[C]` of each layer, and a summary `[SUMMARY]`.

    Args:
      tokens: `[L, TOKEN]`.
      memory: `[SUMMARY]`, the state that both directions start from.
    """
    both = nn.Bidirectional(
      nn.RNN(nn.GRUCell(_HIDDEN), return_carry=True, name='forward'),
      nn.RNN(nn.GRUCell(_HIDDEN), return_carry=True, name='backward'),
      return_carry=True,
    )
    start = tuple(half[None] for half in jnp.split(memory, 2))
    ends, outputs = both(tokens[None], initial_carry=start)
    h = nn.relu(nn.LayerNorm()(outputs[0]))
    logits = tuple(
      self._linear(f'layer_{i}', h[i], size)
      for i, size in enumerate(self.sizes)
    )
    return logits, jnp.concatenate(ends, -1)[0]

  def _linear(self, name: str, h: jax.Array, size: int) -> jax.Array:
    init = nn.initializers.lecun_normal()
    v = self.param(f'{name}_direction', init, (h.shape[0], size))
    length = self.param(f'{name}_length', nn.initializers.ones, (size,))
    return length * (h @ (v / jnp.linalg.norm(v, axis=0, keepdims=True)))


def tokens(key: jax.Array, count: int) -> jax.Array:
  """Returns fixed tokens `[count, TOKEN]`, orthogonal to each other.

  More than `TOKEN` of them are not all orthogonal; their columns then are.
  """
  return nn.initializers.orthogonal()(key, (count, TOKEN))
