r"""Defines gates that open or close channels, and a norm that knows of them.

A gate reads the input of a convolution and opens or closes each channel of
the output. For a map x it computes

.. math::
  l = W_2 \, \text{relu}(\text{norm}(W_1 \, \text{pool}(x))) + 2, \qquad
  g = 1[\sigma((l + n) / \tau) > 1/2]

with the mean of each channel as pool, logistic noise n (the difference of two
Gumbel variables, times a scale) and the temperature of 2/3. The gradient of g
is that of the sigmoid. At evaluation n is 0. The 2 opens gates at the start. At
least one channel stays open.

Gates of the kind 'static' have logits of their own and do not read the input.
Bejnordi et al., https://arxiv.org/abs/1907.06627, describe gates of both kinds.

Shapes: B batch, H, W map, C input channels, F filters of the convolution, G
groups of a norm.
"""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.networks import layers
from coalesce_jax.ops import precision

KINDS = ('input', 'static', 'none')
# Logits of a new gate: sigmoid(2) is 0.88.
OPEN = 2.0
TEMPERATURE = 2.0 / 3.0
# Factor of the parameters of static logits. Adam moves every parameter equally
# far, and these have no kernel that would multiply the way.
_STATIC = 10.0
# Values between the two layers of a gate.
HIDDEN = 16
# Scale of the initial kernel of the second layer: gates that differ too little
# between images close for all of them alike.
_SPREAD = 0.3

Masks = tuple[jax.Array, ...]


@jax.custom_jvp
def opened(logits: jax.Array) -> jax.Array:
  """Returns 1 for positive logits `[F, B]`, and the largest of F, and else 0.

  The derivative is that of the sigmoid with the temperature of 2/3.
  """
  hard = (logits > 0.0) | (logits == jnp.max(logits, 0, keepdims=True))
  return hard.astype(logits.dtype)


@opened.defjvp
def _opened_jvp(primals, tangents):
  (logits,), (tangent,) = primals, tangents
  soft = jax.nn.sigmoid(logits / TEMPERATURE)
  return opened(logits), soft * (1.0 - soft) / TEMPERATURE * tangent


class Gate(nn.Module):
  """Maps the input `[C, H, W, B]` of a convolution to logits `[F, B]`."""

  features: int
  kind: str

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    if self.kind == 'static':
      free = self.param('logits', nn.initializers.zeros, (self.features,))
      logits = _STATIC * free[:, None] + OPEN
      return jnp.broadcast_to(logits, (self.features, x.shape[-1]))
    pooled = jnp.mean(x, (1, 2)).T
    hidden = layers.Dense(HIDDEN, name='hidden')(pooled)
    hidden = layers.Norm('layer', name='norm')(hidden.T[:, None, None, :])
    hidden = nn.relu(hidden[:, 0, 0].T)
    return (
      layers.Dense(self.features, scale=_SPREAD, name='out')(hidden).T + OPEN
    )


class GroupNorm(nn.Module):
  """Normalises groups of channels of one sample, over open channels only.

  Wu and He, https://arxiv.org/abs/1803.08494. A group of which nothing is open
  has the statistics of all its channels.

  Attributes:
    sizes: the number of channels of each group.
  """

  sizes: tuple[int, ...]

  @nn.compact
  def __call__(self, x: jax.Array, gate: jax.Array | None = None) -> jax.Array:
    member = np.repeat(np.eye(len(self.sizes), dtype=np.float32), self.sizes, 1)
    pixels = x.shape[1] * x.shape[2]
    weight = jnp.ones(x.shape[::3])  # [F, B]
    if gate is not None:
      closed = _sum(member, gate) == 0.0  # (G, F), (F, B) -> (G, B)
      weight = jnp.where(_sum(member.T, closed) > 0.0, 1.0, gate)
    count = _sum(member, weight) * pixels
    mean = _sum(member, weight * jnp.sum(x, (1, 2))) / count
    x = x - _sum(member.T, mean)[:, None, None, :]
    square = _sum(member, weight * jnp.sum(x * x, (1, 2))) / count
    x = x * _sum(member.T, jax.lax.rsqrt(square + 1e-5))[:, None, None, :]
    channels = (x.shape[0],)
    scale = self.param('scale', nn.initializers.ones, channels)
    shift = self.param('shift', nn.initializers.zeros, channels)
    return x * scale[:, None, None, None] + shift[:, None, None, None]


def _sum(member: np.ndarray, x: jax.Array) -> jax.Array:
  """Sums over the members of groups, or gives each member its group's value."""
  return precision.matmul(member, x.astype(jnp.float32))


class Gates(NamedTuple):
  """Opens channels: by masks, by gates with or without noise, or all.

  Attributes:
    kind: one of `KINDS`.
    key: key of the noise; None is no noise.
    noise: its scale, `[]`.
    masks: what stands in the place of gates, `[F]` or `[F, B]` each, or None.
  """

  kind: str
  key: types.PRNGKey | None
  noise: float | jax.Array
  masks: Masks | None

  def of(self, index: int, x: jax.Array, features: int) -> jax.Array | None:
    """Returns the gates `[F, B]` of a convolution; None opens all."""
    if self.masks is not None:
      mask = self.masks[index]
      mask = mask if mask.ndim == 2 else mask[:, None]
      return jnp.broadcast_to(mask, (features, x.shape[-1]))
    if self.kind == 'none':
      return None
    logits = Gate(features, self.kind, name=f'gate_{index}')(x)
    if self.key is not None:
      key = jax.random.fold_in(self.key, index)
      logits = logits + self.noise * jax.random.logistic(key, logits.shape)
    return opened(logits)


def close(x: jax.Array, gate: jax.Array | None) -> tuple[jax.Array, jax.Array]:
  """Returns a map `[F, H, W, B]` with its closed channels 0, and all gates."""
  if gate is None:
    return x, jnp.ones(x.shape[::3])
  return x * gate[:, None, None, :], gate
