"""Types that all modules share.

Shape legend of the package: K sources, B batch, Z latent, H, W, C image,
N, M points, D dimensions, S replicas (one per seed).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Array = jax.Array
PRNGKey = jax.Array
Params = Any
Metrics = dict[str, Array]


class Network(NamedTuple):
  """A pair of pure functions.

  Attributes:
    init: ``key -> params``, a nested dict of arrays.
    apply: ``(params, inputs) -> outputs``. A generator maps latents
      ``[B, Z]``, or what else its prior draws, to samples ``[B, ...]``; a
      critic maps samples to scores ``[B]``, or to several scores for each
      sample, ``[B, ...]``.
  """

  init: Callable[[PRNGKey], Params]
  apply: Callable[[Params, Any], Any]
