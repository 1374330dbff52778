r"""Least-squares losses: the critic learns to score real samples 1 and fakes 0.

.. math::
  L_f = \tfrac12 E_x (f(x) - 1)^2 + \tfrac12 E_z f(G(z))^2, \quad
  L_G = \tfrac12 E_z (f(G(z)) - 1)^2

Eq. 9 of Mao et al., https://arxiv.org/abs/1611.04076.
"""

from coalesce_jax.gan.adversarial import base


def make(joined: bool = False) -> base.Adversarial:
  """Returns the losses; `joined` is that of `base.from_scores`."""
  return base.from_scores(
    lambda scores: 0.5 * (scores - 1.0) ** 2,
    lambda scores: 0.5 * scores**2,
    lambda scores: 0.5 * (scores - 1.0) ** 2,
    joined,
  )
