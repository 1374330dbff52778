"""How programs are compiled."""

import jax
import jax.numpy as jnp
import numpy as np

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


def test_few_optimizations_take_the_same_steps():
  class Counter:
    @staticmethod
    def step(state, inputs, key):
      noise = jax.random.normal(jax.random.fold_in(key, state['step']), (3,))
      x = jnp.tanh(state['x'] * inputs + noise)
      return {'x': x, 'step': state['step'] + 1}, {'size': jnp.sum(x * x)}

  state = {'x': jnp.ones(3), 'step': jnp.int32(0)}
  arguments = state, jnp.float32(0.5), jax.random.key(0), 4
  fast = scan.compiled(Counter, False, None, None, True)
  usual = scan.compiled(Counter, False)
  assert fast is not usual
  for a, b in zip(
    jax.tree.leaves(fast(*arguments)),
    jax.tree.leaves(usual(*arguments)),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=1e-6)
