"""The contrastive loss of CUT: places of two images are matched by features.

Park et al., https://arxiv.org/abs/2007.15651.

Shapes: B batch, P places, C channels, F features.
"""

import jax
import jax.numpy as jnp

from coalesce_jax.core import types


def head(key: types.PRNGKey, channels: int, features: int) -> types.Params:
  """Returns two dense layers, as many features in the middle as at the end.

  Args:
    key: consumed.
    channels: C.
    features: F.
  """
  first, second = jax.random.split(key)
  return {
    'kernel_0': 0.02 * jax.random.normal(first, (channels, features)),
    'bias_0': jnp.zeros(features),
    'kernel_1': 0.02 * jax.random.normal(second, (features, features)),
    'bias_1': jnp.zeros(features),
  }


def embedded(head: types.Params, x: jax.Array) -> jax.Array:
  """Returns features of length 1 after a head, `[B, P, F]`.

  Args:
    head: two dense layers, `kernel_0`, `bias_0`, `kernel_1`, `bias_1`.
    x: features of P places, `[B, P, C]`.
  """
  x = jax.nn.relu(x @ head['kernel_0'] + head['bias_0'][None, None])
  x = x @ head['kernel_1'] + head['bias_1'][None, None]
  # Where a place has no feature at all, the gradient is finite.
  return x * jax.lax.rsqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-10)


def loss(queries: jax.Array, keys: jax.Array, temperature: float) -> jax.Array:
  """Returns the mean cross-entropy of finding each query's place.

  Eq. 3 and 4 of Park et al. Other places are those of the same image.

  Args:
    queries: features of length 1, `[B, P, F]`.
    keys: features of length 1 at the same places, `[B, P, F]`; constants.
    temperature: divides the products.
  """
  keys = jax.lax.stop_gradient(keys)
  logits = jnp.einsum('bpf,bqf->bpq', queries, keys) / temperature
  found = jnp.diagonal(jax.nn.log_softmax(logits), axis1=1, axis2=2)
  return -jnp.mean(found)
