r"""Draws masks of channels from logits, with gradients.

.. math::
  m = 1[\sigma((l + g + 3) / 0.4) \ge 1/2]

where g is Gumbel noise. The gradient is that of the sigmoid, as if it were the
mask. The offset of 3 opens nearly all gates at the start. As in the public code
of Ganjdanesh et al. for pruning classifiers.

Shapes: C channels of a group.
"""

import jax
import jax.numpy as jnp

from coalesce_jax.core import types

OFFSET = 3.0
TEMPERATURE = 0.4


def mask(logits: jax.Array, key: types.PRNGKey | None = None) -> jax.Array:
  """Returns a mask `[C]` of 1 and 0 that keeps one channel at least.

  Args:
    logits: `[C]`.
    key: key of the noise; consumed. None is no noise.
  """
  if key is not None:
    logits = logits + jax.random.gumbel(key, logits.shape)
  soft = jax.nn.sigmoid((logits + OFFSET) / TEMPERATURE)
  largest = jnp.arange(logits.shape[0]) == jnp.argmax(logits)
  hard = ((soft >= 0.5) | largest).astype(soft.dtype)
  return soft + jax.lax.stop_gradient(hard - soft)
