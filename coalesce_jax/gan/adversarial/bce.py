r"""Cross-entropy losses of the first GAN, not saturating for the generator.

.. math::
  L_f = - E_x \log \sigma(f(x)) - E_z \log (1 - \sigma(f(G(z)))), \quad
  L_G = - E_z \log \sigma(f(G(z)))

Goodfellow et al., https://arxiv.org/abs/1406.2661, section 3.
"""

import jax

from coalesce_jax.gan.adversarial import base


def make() -> base.Adversarial:
  """Returns the losses; scores are logits."""
  return base.from_scores(
    lambda scores: jax.nn.softplus(-scores),
    jax.nn.softplus,
    lambda scores: jax.nn.softplus(-scores),
  )
