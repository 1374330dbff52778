"""Barycenters: replicas, starts, architectures, bad input."""

import dataclasses

import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.core import trees
from coalesce_jax.methods import barycenter
from coalesce_jax.models import generator
from tests import agreement
from tests import small
from tests.methods import presets

KEY = jax.random.key(0)


def test_seeds_as_one_program_equal_seeds_alone():
  keys = jax.random.split(KEY, 2)
  members = [
    [small.generator(10 * s + k, small.VECTORS) for k in range(2)]
    for s in range(2)
  ]
  batched = [
    members[0][k]._replace(
      params=trees.stack([members[s][k].params for s in range(2)]),
      critic=trees.stack([members[s][k].critic for s in range(2)]),
    )
    for k in range(2)
  ]
  config = presets.meeting()
  together, history = cj.barycenter(keys, batched, config=config)
  assert history['w1'].shape == (2, 2, 2)
  for s in range(2):
    alone, _ = cj.barycenter(keys[s], members[s], config=config)
    agreement.close(trees.member(together.params, s), alone.params)
    agreement.close(trees.member(together.critic, s), alone.critic)


@pytest.mark.slow
def test_a_joint_barycenter_starts_at_the_chosen_member():
  nodes = presets.image_nodes(3)
  frozen = dataclasses.replace(
    presets.meeting(start=2), schedule=small.schedule(1, 1), warmup=5
  )
  made, _ = cj.barycenter(KEY, nodes, config=frozen)
  assert agreement.equal(made.params, nodes[2].params)


@pytest.mark.slow
def test_a_barycenter_may_start_from_new_parameters():
  nodes = [small.generator(k, small.VECTORS) for k in range(2)]
  still = small.schedule(1, 1)
  config = dataclasses.replace(
    presets.meeting(start=None), schedule=still, warmup=5
  )
  made = [
    cj.barycenter(KEY, each, config=config)[0].params
    for each in (nodes, nodes[::-1])
  ]
  assert agreement.equal(made[0], made[1])
  assert not agreement.equal(made[0], nodes[0].params)
  other, _ = cj.barycenter(jax.random.key(1), nodes, config=config)
  assert not agreement.equal(made[0], other.params)


@pytest.mark.slow
def test_a_new_barycenter_may_be_of_another_architecture():
  nodes = presets.image_nodes()
  options = dict(nodes[0].spec.options)
  wide = dataclasses.replace(
    nodes[0].spec, options=generator.freeze({**options, 'width': 6}),
    critic=None, critic_options=(),
  )  # fmt: skip
  config = presets.meeting(start=None, spec=wide)
  made, _ = cj.barycenter(KEY, nodes, config=config)
  assert made.spec.options == wide.options
  assert made.spec.critic_options == nodes[0].spec.critic_options
  assert made.sample(KEY, 2).shape == (2, *small.IMAGES.image_shape)


@pytest.mark.slow
@pytest.mark.parametrize('weights', [(1.0, 0.0), (0.0, 1.0)])
def test_a_mixture_has_the_weights_and_one_critic(weights):
  nodes = presets.at_points(0.0, 4.0)
  meta, history = cj.barycenter(
    KEY,
    nodes,
    weights,
    method='mixture',
    config=barycenter.Config(presets.QUICK, small.schedule(40, 20), warmup=10),
  )
  assert history['w1'].shape == (2, 1)
  end = float(meta.sample(KEY, 50).mean())
  assert end > 0.3 if weights[1] else abs(end) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize('start', [0, 1])
def test_a_barycenter_of_unlike_networks_has_that_of_its_start(start):
  wide = dataclasses.replace(
    small.IMAGES, latent_size=5, options=(('width', 6),), critic=None,
    critic_options=(),
  )  # fmt: skip
  members = [
    small.generator(0, small.IMAGES),
    generator.create(wide, wide.build().init(jax.random.key(5))),
    small.generator(1, small.IMAGES),
  ]
  made, history = cj.barycenter(
    KEY, members, config=presets.meeting(start=start)
  )
  assert made.spec.options == members[start].spec.options
  assert made.spec.latent_size == members[start].spec.latent_size
  assert history['w1'].shape[1] == 3
  assert made.sample(KEY, 2).shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
  'weights,match',
  [
    ((0.5,), '1 weights for 2'),
    ((0.5, 0.4), 'sum to 0.9'),
    ((1.5, -0.5), 'at least 0'),
    ((float('nan'), 1.0), 'finite'),
  ],
)
def test_bad_weights_are_refused(weights, match):
  with pytest.raises(ValueError, match=match):
    cj.barycenter(KEY, presets.image_nodes(2), weights)


def test_bad_barycenters_are_refused():
  with pytest.raises(ValueError, match="'mixture' has no objective 'ball'"):
    cj.barycenter(
      KEY, [small.generator()] * 2, method='mixture', objective='ball'
    )
  nodes = presets.image_nodes(2)
  other = small.generator(0, small.VECTORS)
  for members, settings, match in (
    (nodes[:1], {}, 'needs 2'),
    ([nodes[0], other], {}, 'samples of one shape'),
    (nodes, {'method': 'mean'}, 'method'),
    (nodes, {'objective': 'ball'}, 'radii'),
    (nodes, {'radii': [0.5, 0.5]}, "radii are of objective 'ball'"),
    (nodes, {'objective': 'ball', 'radii': [0.5]}, '1 radii for 2'),
    (nodes, {'objective': 'ball', 'radii': [0.0, np.nan]}, 'not in'),
    (nodes, {'objective': 'ball', 'radii': [0.0, -1.0]}, 'not in'),
    (nodes, {'objective': 'w2'}, 'objective'),
    (nodes, {'config': barycenter.Config(start=5)}, 'start 5'),
  ):
    with pytest.raises(ValueError, match=match):
      cj.barycenter(KEY, members, **settings)


def test_bad_architectures_of_a_new_barycenter_are_refused():
  nodes = presets.image_nodes()
  with pytest.raises(ValueError, match='spec is of a new generator'):
    presets.meeting(spec=nodes[0].spec)
  other = dataclasses.replace(nodes[0].spec, image_shape=(28, 28, 1))
  with pytest.raises(ValueError, match='spec has image_shape'):
    cj.barycenter(KEY, nodes, config=presets.meeting(start=None, spec=other))
