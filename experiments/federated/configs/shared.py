"""What the configurations of federated meta-learning have in common."""

from typing import Any

import ml_collections

from coalesce_jax.pipeline import federated_defaults

# Rows of a smoke test.
_QUICK = ('metagater', 'random_gates')


def config(variant: str, **fields: Any) -> ml_collections.ConfigDict:
  """Returns a configuration, which `coalesce federated run` reads as well.

  Args:
    variant: '' or 'quick'.
    **fields: values of fields of `federated_defaults`, or of its section
      'meta'.

  Raises:
    ValueError: another variant.
  """
  made = federated_defaults.get_config()
  made.seeds = 3
  for name, value in fields.items():
    (made if name in made else made.meta)[name] = value
  # Names of rows of `rows.TABLE`, and of rows over rho; () is all of them.
  made.only = ()
  # Weights of the penalty, which has no target in these rows.
  made.rhos = (0.03, 0.1, 0.3, 1.0)
  # Whether the official one-shot runs are scored, of omniglot.
  made.official_runs = True
  # Timed rounds of each way to compute one; 0 is none.
  made.timed_rounds = 10
  made.workers = 1
  federated_defaults.shorten(made, variant)
  if variant:
    made.only, made.rhos, made.timed_rounds = _QUICK, (), 0
  return made
