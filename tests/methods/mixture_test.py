"""Mixtures: every sample is one of a node's, with the weights as chances."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.gan import refined_source
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import mixture
from coalesce_jax.models import bundle
from coalesce_jax.networks import registry
from tests import small

KEY = jax.random.key(0)
SPEC = small.VECTORS


def nodes(count=2):
  return [small.generator(k, SPEC) for k in range(count)]


def latents(count=2, n=64):
  return jax.random.normal(KEY, (n, SPEC.latent_size + count))


def nearest(made, parts, z):
  """For each sample the node that it is of, and how far from it it is."""
  x = made.network.apply(made.params, z)
  far = jnp.abs(jnp.stack(parts) - x[None]).sum(-1)
  return np.asarray(jnp.argmin(far, 0)), np.asarray(jnp.min(far, 0))


def test_every_sample_is_one_of_a_node():
  two = nodes()
  made, z = mixture.mixture(two), latents(n=4000)
  inner = z[:, : SPEC.latent_size]
  parts = [n.network.apply(n.params, inner) for n in two]
  which, distance = nearest(made, parts, z)
  np.testing.assert_allclose(distance, 0.0, atol=1e-6)
  # Five standard errors.
  assert abs(which.mean() - 0.5) < 5.0 * 0.5 / np.sqrt(len(which))


def test_weights_are_chances():
  two = nodes()
  made, z = mixture.mixture(two, (0.9, 0.1)), latents(n=4000)
  inner = z[:, : SPEC.latent_size]
  parts = [n.network.apply(n.params, inner) for n in two]
  which, _ = nearest(made, parts, z)
  assert abs(which.mean() - 0.1) < 5.0 * 0.3 / np.sqrt(len(which))


def test_refined_samples_are_moved_by_the_critic_of_their_node():
  two, config = nodes(), refined_source.Config(steps=2)
  made, z = mixture.mixture(two, refine=config), latents()
  inner = z[:, : SPEC.latent_size]
  parts = []
  for n in two:
    critic = n.spec.build_critic()
    moved = refined_source.move(
      n.network, critic, n.params, n.critic, inner, config
    )
    assert jnp.abs(moved - inner).max() > 1e-3
    parts.append(n.network.apply(n.params, moved))
  _, distance = nearest(made, parts, z)
  np.testing.assert_allclose(distance, 0.0, atol=1e-5)


def test_members_of_an_ensemble_are_mixtures_of_their_own():
  first, second = nodes(), [small.generator(k, SPEC) for k in (2, 3)]
  batched = [
    a._replace(
      params=trees.stack([a.params, b.params]),
      critic=trees.stack([a.critic, b.critic]),
    )
    for a, b in zip(first, second, strict=True)
  ]
  both, z = mixture.mixture(batched), latents()
  alone = mixture.mixture(second)
  made = trees.member(both.params, 1)
  np.testing.assert_allclose(
    both.network.apply(made, z), alone.network.apply(alone.params, z), atol=1e-6
  )
  shapes = jax.eval_shape(alone.network.init, KEY)
  assert jax.tree.structure(shapes) == jax.tree.structure(alone.params)


@pytest.mark.slow
def test_a_mixture_adapts_its_nodes_and_scores_together(tmp_path):
  # As another node reads it.
  refine = refined_source.Config(steps=2)
  bundle.save(
    tmp_path / 'a.safetensors', mixture.mixture(nodes(), None, refine)
  )
  start = bundle.load(tmp_path / 'a.safetensors')
  config = adaptation.Config(
    game=small.config(objective='w1_squared'), schedule=small.schedule(4, 2),
    warmup=0, anchor=0.5,
  )  # fmt: skip
  local = jax.random.normal(KEY, (20, 2))
  made, history = adaptation.adapt(
    KEY, start, local, config=config, judges=nodes()
  )
  assert history['w1'].shape[-1] == 3
  assert made.sample(KEY, 3).shape == (3, 2)
  changed = jax.tree.map(
    lambda a, b: bool(np.any(a != b)), made.params, start.params
  )
  assert changed['scores'] and all(jax.tree.leaves(changed['nodes']))
  # The moving average of what stands still, to rounding.
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
    made.params['critics'],
    start.params['critics'],
  )
  assert made.spec.critic == SPEC.critic
  assert made.critic is not None


@pytest.mark.parametrize('refine', [None, refined_source.Config(steps=2)])
def test_a_bundle_holds_a_mixture(tmp_path, refine):
  two = nodes()
  made = mixture.mixture(two, (1.0, 0.0), refine)
  bundle.save(tmp_path / 'a.safetensors', made)
  assert bundle.size_bytes(made) == (tmp_path / 'a.safetensors').stat().st_size
  back = bundle.load(tmp_path / 'a.safetensors')
  assert back.network is made.network
  np.testing.assert_array_equal(back.sample(KEY, 9), made.sample(KEY, 9))
  # All of the weight is on the first node.
  if refine is None:
    z = jax.random.normal(KEY, (9, made.spec.latent_size))
    np.testing.assert_allclose(
      made.network.apply(made.params, z),
      two[0].network.apply(two[0].params, z[:, :-2]),
      atol=1e-6,
    )


@pytest.mark.parametrize(
  'changes,match',
  [
    ({'count': 0}, r'count 0 is not in \[1, 64\]'),
    ({'count': 65}, 'count 65'),
    ({'count': 2.5}, 'not a whole number'),
    ({'count': 4}, 'latent_size 0 is not in'),
    ({'of': 'mixture'}, "of 'mixture' is not one of"),
    ({'of_hidden': (0,)}, 'width 0'),
    ({'of_nope': 1}, 'does not take the options'),
    ({'nope': 1}, "and pull as well, not .*'nope'"),
    ({'of_latent_size': 3}, 'does not take the options'),
    ({'critic_data_shape': 3}, 'does not take the options'),
    ({'critic': 'nope'}, "critic 'nope' is not one of"),
    ({'critic_hidden': (0,)}, 'width 0'),
    ({'steps': 501}, r'steps 501 is not in \[1, 500\]'),
    ({'rate': 0.0}, 'rate'),
    ({'rate': float('nan')}, 'rate'),
    ({'pull': -1.0}, 'pull'),
    ({'pull': 'x'}, 'pull'),
    ({'pull': False}, 'pull'),
  ],
)
def test_options_of_a_mixture_are_bounded(changes, match):
  options = {
    'of': 'mlp', 'count': 2, 'of_hidden': (8,), 'critic': 'mlp',
    'critic_hidden': (8,), 'steps': 2, 'rate': 0.1, 'pull': 1.0,
  }  # fmt: skip
  made = {'latent_size': 4, 'data_shape': (2,)}
  registry.generator('mixture', **made, **options)
  with pytest.raises(ValueError, match=match):
    registry.generator('mixture', **made, **(options | changes))


def test_a_mixture_is_not_ternarized():
  start, local = mixture.mixture(nodes()), jax.random.normal(KEY, (20, 2))
  with pytest.raises(ValueError, match='cannot be ternarized'):
    adaptation.ternarize(KEY, start, local)


def test_a_mixture_takes_a_critic_with_its_transport_or_none_of_both():
  made = {'latent_size': 4, 'data_shape': (2,), 'of': 'mlp', 'count': 2}
  for some in ({'critic': 'mlp'}, {'steps': 2}, {'rate': 0.1, 'pull': 1.0}):
    with pytest.raises(ValueError, match='takes of and count, or'):
      registry.generator('mixture', **made, **some)
  with pytest.raises(ValueError, match='critic options but no critic'):
    registry.generator('mixture', **made, critic_hidden=(8,))


def test_bad_mixtures_are_refused():
  with pytest.raises(ValueError, match='generator 0 is ternary'):
    mixture.mixture(
      [small.ternarized(small.generator(0, small.IMAGES), 'twn', 'channel')]
    )
  with pytest.raises(ValueError, match='architecture|networks|same'):
    other = dataclasses.replace(SPEC, latent_size=7)
    mixture.mixture([*nodes(1), small.generator(0, other)])
  with pytest.raises(ValueError, match='weights'):
    mixture.mixture(nodes(), (0.9, 0.9))
  with pytest.raises(ValueError, match='65 generators: .* at most 64'):
    mixture.mixture(nodes(1) * 65)
  bare = [n._replace(critic=None) for n in nodes()]
  with pytest.raises(ValueError, match='critic'):
    mixture.mixture(bare, refine=refined_source.Config())
