r"""Cross-entropy losses, with the non-saturating loss of the generator.

.. math::
  L_f = - E_x \log \sigma(f(x)) - E_z \log (1 - \sigma(f(G(z)))), \quad
  L_G = - E_z \log \sigma(f(G(z)))

Sec. 3 of Goodfellow et al., https://arxiv.org/abs/1406.2661.
"""

import jax

from coalesce_jax.gan.adversarial import base


def make(joined: bool = False) -> base.Adversarial:
  """Returns the losses; `joined` is that of `base.from_scores`.

  Scores are logits.
  """
  return base.from_scores(
    lambda scores: jax.nn.softplus(-scores),
    jax.nn.softplus,
    lambda scores: jax.nn.softplus(-scores),
    joined,
  )
