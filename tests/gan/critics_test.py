"""Critics of a game: each on its own, frozen leaves, scores."""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import critics as critics_lib
from coalesce_jax.gan import game
from coalesce_jax.gan import sources
from coalesce_jax.gan.adversarial import registry
from coalesce_jax.parallel import batch_shards
from coalesce_jax.transforms import base
from tests import agreement
from tests import small


def test_critics_in_turns_equal_critics_alone():
  # On a CPU critics of so large batches are updated one after another.
  batch, size = 64, 2**14 // 64
  assert batch_shards.in_turns(batch * size)
  network = types.Network(None, lambda params, z: params[None] + z)
  critic = types.Network(None, lambda params, x: jnp.tanh(x @ params).sum(-1))
  # Nothing but latents is random, and these are the same for one critic.
  played = game.make(
    small.config(batch_size=batch, penalty='none'),
    generator=network,
    critic=critic,
  ).task
  keys = jax.random.split(jax.random.key(0), 3)
  critics = jax.random.normal(keys[0], (2, size, 3)) / 10
  parts = [sources.array(jnp.full((1, size), float(k))) for k in range(2)]

  def after(parts, critics):
    given = game.inputs(tuple(parts), prior=sources.normal(size))
    state = played.init(keys[1], jnp.zeros(size), critics, given)
    return jax.jit(played.step)(state, given, keys[2])[0].critics

  both = after(parts, critics)
  assert float(jnp.abs(both - critics).min()) > 0.0
  for k in range(2):
    alone = after(parts[k : k + 1], critics[k : k + 1])
    np.testing.assert_allclose(both[k], alone[0], rtol=1e-5, atol=1e-7)


def test_critics_do_not_see_each_other():
  played, state, inputs, key = small.made(small.config())
  after, _ = played.step(state, inputs, key)
  other = inputs._replace(
    sources=(inputs.sources[0], sources.array(9.0 + jnp.zeros((4, 2))))
  )
  changed, _ = played.step(state, other, key)
  assert agreement.equal(
    trees.member(after.critics, 0), trees.member(changed.critics, 0)
  )
  assert not agreement.equal(
    trees.member(after.critics, 1), trees.member(changed.critics, 1)
  )


def test_frozen_critic_leaves_stay_and_the_others_learn():
  played, state, inputs, key = small.made(small.config(freeze=('dense_0/.*',)))
  after, _ = played.step(state, inputs, key)
  before, now = trees.flatten(state.critics), trees.flatten(after.critics)
  for name in before:
    same = np.array_equal(before[name], now[name])
    # The bias of a critic's last layer has no gradient.
    assert same == name.startswith('dense_0/') or name == 'head/bias'


def test_scores_are_those_of_each_critic_of_shared_samples_or_its_own():
  made = critics_lib.make(
    config_lib.Config(),
    types.Network(None, lambda params, x: x @ params),
    registry.build('wgan'),
    base.identity(),
  )
  params = jnp.array([[1.0, 0.0], [0.0, 10.0]])
  latent, frozen, _ = made.init(jax.random.key(0), params)
  x = np.arange(6.0).reshape(3, 2)
  scores = made.scores(latent, frozen, jnp.asarray(x), True)
  np.testing.assert_allclose(scores, [x[:, 0], 10.0 * x[:, 1]])
  own = made.scores(latent, frozen, jnp.stack([x, -x]), False)
  np.testing.assert_allclose(own, [x[:, 0], -10.0 * x[:, 1]])
  np.testing.assert_array_equal(made.params(latent, frozen), params)


def test_scores_of_patches_keep_their_axes():
  made = critics_lib.make(
    config_lib.Config(),
    types.Network(None, lambda params, x: jnp.tile(params[None] * x, (1, 3))),
    registry.build('lsgan'),
    base.identity(),
  )
  latent, frozen, _ = made.init(jax.random.key(0), jnp.array([[1.0], [10.0]]))
  x = np.arange(4.0).reshape(4, 1)
  scores = made.scores(latent, frozen, jnp.asarray(x), True)
  expected = np.broadcast_to(x, (4, 3))
  np.testing.assert_allclose(scores, [expected, 10.0 * expected])
