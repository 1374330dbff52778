"""How programs are compiled."""

import jax

from coalesce_jax.training import scan
from tests import small


def test_a_start_compiled_quickly_draws_the_same_bits():
  critic = small.IMAGES.build_critic()

  def start(key):
    return jax.vmap(critic.init)(jax.random.split(key, 2))

  options = {'xla_backend_optimization_level': 3}
  slowly = jax.jit(start, compiler_options=options)
  key = jax.random.key(5)
  pairs = zip(
    jax.tree.leaves(scan.once(start)(key)),
    jax.tree.leaves(slowly(key)),
    strict=True,
  )
  for quick, slow in pairs:
    assert quick.tobytes() == slow.tobytes()
