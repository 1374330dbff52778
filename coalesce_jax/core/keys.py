"""Random keys of callers: typed ones, and those of `jax.random.PRNGKey`.

Shapes: S replicas.
"""

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_PASS = 'pass jax.random.key(SEED)'
_SEVERAL = ', or jax.random.split of it for several replicas'


def typed(key: Any, most: int = 1) -> jax.Array:
  """Returns a key of a caller as a typed key of the same stream.

  Args:
    key: one key or `[S]` keys: typed, of `jax.random.key`, or their data as
      uint32, of `jax.random.PRNGKey`. Traced keys are allowed.
    most: largest number of axes of keys: 1 for `[S]` keys, 0 for one key.

  Returns:
    A typed key, or `[S]` of them.

  Raises:
    ValueError: this is no random key. The message is one line that says what to
      pass.
  """
  if not isinstance(key, jax.Array | np.ndarray):
    raise ValueError(f'key: {_shown(key)}')
  if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
    keys: jax.Array = jnp.asarray(key)
  else:
    words = _words()
    if key.dtype != np.uint32 or key.shape[-1:] != words:
      raise ValueError(
        f'key: {key.dtype} of shape {key.shape}, not a random key; '
        f'{_PASS}{_SEVERAL}'
      )
    keys = jax.random.wrap_key_data(jnp.asarray(key))
  if keys.ndim > most:
    wanted = f'one key{_SEVERAL}' if most else 'one key'
    raise ValueError(f'key: {keys.shape} keys; pass {wanted}')
  return keys


def _words() -> tuple[int, ...]:
  """Returns the shape of the data of one key, by the default generator."""
  data = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
  return tuple(data.shape)


def _shown(key: Any) -> str:
  if isinstance(key, numbers.Integral) and not isinstance(key, bool):
    return f'the number {key}, not a random key; pass jax.random.key({key})'
  kind = type(key)
  top = kind.__module__.partition('.')[0]
  name = kind.__name__ if top == 'builtins' else f'{top}.{kind.__name__}'
  return f'{name}, not a random key; {_PASS}'
