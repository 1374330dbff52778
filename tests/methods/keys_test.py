"""Every function that takes a key takes typed and legacy ones, nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.gan import sources
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter
from coalesce_jax.methods import baselines
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import minegan
from coalesce_jax.methods import node_runs
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import runner
from coalesce_jax.training import loop
from tests import agreement
from tests import small

LEGACY = jax.random.PRNGKey
SPEC = small.VECTORS
NODES = [small.drawn(SPEC, k) for k in range(2)]
SAMPLES = np.random.default_rng(0).standard_normal((20, 2), np.float32)
SHORT = {'game': small.config(augment=''), 'schedule': small.schedule(2, 2)}
TUNED = adaptation.Config(**SHORT)
METHOD = runner.method(SHORT['game'], SHORT['schedule'], SPEC)


def combine(method):
  return lambda key: (
    cj.barycenter(key, NODES, method=method, config=barycenter.Config(**SHORT))[
      0
    ].params
  )


def setup(key, hyper, data):
  del hyper
  target = sources.array(data)
  critic = SPEC.build_critic().init(key)
  return runner.Setup(
    NODES[0].params, (runner.Target(target, target, 1.0, critic),)
  )


FAST = {
  'sample': lambda key: NODES[0].sample(key, 3),
  'adapt': lambda key: cj.adapt(key, NODES[0], SAMPLES, config=TUNED)[0].params,
}
SLOW = {
  'pretrain': lambda key: cj.pretrain(
    key, [SAMPLES], SPEC, config=pretraining.Config(**SHORT)
  )[0][0].params,
  'joint': combine('joint'),
  'recursive': combine('recursive'),
  'mixture': combine('mixture'),
  'ternarize': lambda key: cj.ternarize(
    key, NODES[0], SAMPLES, config=TUNED
  )[0].params,
  'fit': lambda key: fine_tuning.fit(
    key, NODES[0], SAMPLES, config=TUNED
  )[0].params,
  'edge_only': lambda key: baselines.edge_only(
    key, SPEC, SAMPLES, config=TUNED
  )[0].params,
  'transfer': lambda key: baselines.transfer(
    key, NODES[0], SAMPLES, config=TUNED
  )[0].params,
  'ensemble': lambda key: baselines.ensemble(
    key, NODES, SAMPLES, config=TUNED
  )[0].params,
  'mine': lambda key: minegan.mine(
    key, NODES, SAMPLES, config=TUNED
  )[0].params,
  'run': lambda key: runner.run(key, setup, (SAMPLES,), METHOD).params,
  'run_nodes': lambda key: node_runs.run(
    key, setup, (SAMPLES[None],), METHOD
  )[0][0].params,
}  # fmt: skip
ALL = FAST | SLOW
SLOWLY = [pytest.param(name, marks=pytest.mark.slow) for name in SLOW]


@pytest.mark.parametrize('name', list(ALL))
@pytest.mark.parametrize('key', [7, jnp.zeros(2)])
def test_what_is_no_key_is_refused_before_any_work(name, key):
  with pytest.raises(ValueError, match=r'^key: .* not a random key; pass jax'):
    ALL[name](key)


def test_what_is_no_key_drives_no_loop():
  with pytest.raises(ValueError, match=r'^key: the number 7, not a random key'):
    loop.drive(None, None, None, 7, small.schedule())


@pytest.mark.parametrize('name', [*FAST, *SLOWLY])
def test_a_legacy_key_gives_the_bits_of_the_typed_key(name):
  typed, legacy = (ALL[name](make(5)) for make in (jax.random.key, LEGACY))
  assert agreement.equal(typed, legacy)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['pretrain', 'run'])
def test_legacy_keys_of_replicas_give_the_bits_of_the_typed_keys(name):
  if name == 'run':
    run = lambda key: (
      runner.run(  # noqa: E731
        key, setup, (np.stack([SAMPLES] * 2),), METHOD
      ).params
    )
  else:
    run = ALL[name]
  typed, legacy = (
    run(jax.random.split(make(5), 2)) for make in (jax.random.key, LEGACY)
  )
  assert jax.tree.leaves(typed)[0].shape[0] == 2
  assert agreement.equal(typed, legacy)
