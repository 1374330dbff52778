"""Random keys of S seeds, one for every use.

The number of a use is folded into the key of each seed. Numbers are part of the
results: another number is another stream of random numbers.

Shapes: S seeds.
"""

import jax

from coalesce_jax.core import types

# JAX makes a key of the low 32 bits of a seed. The seed of a configuration is
# smaller, since other numbers are added to it.
MAX_SEED = 2**31 - 1


def check(seed: int) -> None:
  """Checks the seed of a configuration.

  Raises:
    ValueError: it is out of range: JAX would take another one without a word.
  """
  if not 0 <= seed <= MAX_SEED:
    raise ValueError(f'seed {seed} is not in [0, {MAX_SEED}]')


def of_seeds(seed: int, count: int) -> types.PRNGKey:
  """Returns `[count]` keys, one a seed of a run that began with `seed`."""
  return jax.random.split(jax.random.key(seed), count)


def of_stage(seed: int, count: int, number: int) -> types.PRNGKey:
  """Returns the `[count]` keys of the stage, or other use, of this number."""
  return jax.vmap(jax.random.fold_in, (0, None))(of_seeds(seed, count), number)
