r"""Hinge losses.

.. math::
  L_f = E_x \max(0, 1 - f(x)) + E_z \max(0, 1 + f(G(z))), \quad
  L_G = - E_z f(G(z))

Lim and Ye, https://arxiv.org/abs/1705.02894; Eq. 16 and 17 of Miyato et al.,
https://arxiv.org/abs/1802.05957.
"""

import jax

from coalesce_jax.gan.adversarial import base


def make(joined: bool = False) -> base.Adversarial:
  """Returns the losses; `joined` is that of `base.from_scores`."""
  return base.from_scores(
    lambda scores: jax.nn.relu(1.0 - scores),
    lambda scores: jax.nn.relu(1.0 + scores),
    lambda scores: -scores,
    joined,
  )
