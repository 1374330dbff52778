"""Stages: ensembles, warm starts, baselines, ternary results, bad input."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.core import trees
from coalesce_jax.gan import sources
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter
from coalesce_jax.methods import baselines
from coalesce_jax.methods import pretraining
from coalesce_jax.models import bundle
from coalesce_jax.models import generator
from coalesce_jax.training import loop
from coalesce_jax.transforms import ternary as ternary_lib
from coalesce_jax.transforms import ternary_config
from tests import small

KEY = jax.random.key(0)
LEAVES = ('(?!out/).*kernel',)


def adapting(**settings):
  game = settings.pop('game', small.config(objective='w1_squared'))
  return adaptation.Config(
    game=game, schedule=small.schedule(4, 2), warmup=1, **settings
  )


def meeting(**settings):
  return barycenter.Config(
    game=small.config(), schedule=small.schedule(4, 2), warmup=1, **settings
  )


def image_nodes(count=2):
  return [small.generator(k, small.IMAGES) for k in range(count)]


def close(a, b, atol=1e-4):
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_allclose(x, y, atol=atol)


def equal(a, b):
  return all(
    np.array_equal(x, y)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


def test_pretraining_gives_each_node_its_own_data():
  data = [
    m + 0.1 * np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    for m, n in ((3.0, 50), (-3.0, 90))
  ]
  config = pretraining.Config(
    game=small.config(learning_rate=0.02, critic_steps=3, ema=0.9),
    schedule=small.schedule(200, 100),
  )
  nodes, history = cj.pretrain(KEY, data, small.VECTORS, config=config)
  means = [float(np.mean(n.sample(KEY, 500))) for n in nodes]
  assert means[0] > 1.5 and means[1] < -1.5
  assert history['w1'].shape == (2, 2, 1)
  assert nodes[0].critic is not None


def test_padding_rows_of_smaller_nodes_are_never_drawn():
  data = [np.ones((10, 2), np.float32), np.ones((90, 2), np.float32)]
  train, held, sizes = pretraining.padded(data, 0.1)
  assert train.shape == (2, 81, 2) and sizes.tolist() == [[9, 1], [81, 9]]
  source = sources.array(train[0], sizes[0, 0])
  drawn = sources.draw((source,), KEY, 200)
  assert bool(jnp.all(drawn == 1.0))
  assert held.shape == (2, 9, 2)


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
  config = meeting()
  together, history = cj.barycenter(keys, batched, config=config)
  assert history['w1'].shape == (2, 2, 2)
  for s in range(2):
    alone, _ = cj.barycenter(keys[s], members[s], config=config)
    close(trees.member(together.params, s), alone.params)
    close(trees.member(together.critic, s), alone.critic)


@pytest.mark.slow
def test_a_joint_barycenter_starts_at_the_chosen_member():
  nodes = image_nodes(3)
  frozen = dataclasses.replace(
    meeting(start=2), schedule=small.schedule(1, 1), warmup=5
  )
  made, _ = cj.barycenter(KEY, nodes, config=frozen)
  assert equal(made.params, nodes[2].params)


def test_a_barycenter_may_start_from_new_parameters():
  nodes = [small.generator(k, small.VECTORS) for k in range(2)]
  still = small.schedule(1, 1)
  config = dataclasses.replace(meeting(start=None), schedule=still, warmup=5)
  made = [
    cj.barycenter(KEY, each, config=config)[0].params
    for each in (nodes, nodes[::-1])
  ]
  assert equal(made[0], made[1])
  assert not equal(made[0], nodes[0].params)
  other, _ = cj.barycenter(jax.random.key(1), nodes, config=config)
  assert not equal(made[0], other.params)


@pytest.mark.slow
def test_a_new_barycenter_may_be_of_another_architecture():
  nodes = image_nodes()
  options = dict(nodes[0].spec.options)
  wide = dataclasses.replace(
    nodes[0].spec, options=generator.freeze({**options, 'width': 6}),
    critic=None, critic_options=(),
  )  # fmt: skip
  config = meeting(start=None, spec=wide)
  made, _ = cj.barycenter(KEY, nodes, config=config)
  assert made.spec.options == wide.options
  assert made.spec.critic_options == nodes[0].spec.critic_options
  assert made.sample(KEY, 2).shape == (2, *small.IMAGES.image_shape)


def test_adaptation_keeps_shape_and_reports_two_critics():
  meta = image_nodes(1)[0]
  edge, history = cj.adapt(KEY, meta, small.images(), config=adapting())
  assert edge.sample(KEY, 3).shape == (3, 8, 8, 1)
  assert history['w1'].shape == (2, 2)
  assert not equal(edge.params, meta.params)


def test_without_an_anchor_there_is_one_critic():
  _, history = cj.adapt(
    KEY, image_nodes(1)[0], small.images(), config=adapting(anchor=0.0)
  )
  assert history['w1'].shape == (2, 1)


def test_judges_weigh_the_same_and_start_where_they_are():
  start, *judges = (small.generator(k) for k in range(3))
  local = jax.random.normal(KEY, (20, 2))
  config = adapting(anchor=0.25)
  game = dataclasses.replace(config.game, objective='w1')
  still = dataclasses.replace(config, game=game, rate=0.0)
  made, history = cj.adapt(KEY, start, local, config=still, judges=judges)
  # Two of the local samples, and the anchor's.
  assert history['w1'].shape == (2, 3)
  np.testing.assert_allclose(history['coefficient'][0], [0.375, 0.375, 0.25])
  equal_critics = [equal(made.critic, g.critic) for g in (start, *judges)]
  assert equal_critics == [False, True, False]
  # One judge that is the start's own critic is what there is without.
  _, alone = cj.adapt(KEY, start, local, config=config)
  _, judged = cj.adapt(KEY, start, local, config=config, judges=[start])
  np.testing.assert_array_equal(alone['w1'], judged['w1'])


def test_cold_judges_differ():
  config = adapting(anchor=0.0, warm_critics=False)
  nodes = [small.generator(k) for k in range(2)]
  _, history = cj.adapt(
    KEY, nodes[0], jax.random.normal(KEY, (20, 2)), config=config, judges=nodes
  )
  assert np.all(history['w1'][:, 0] != history['w1'][:, 1])
  # Both are of one end: there is no segment.
  assert 'position' not in history


def test_judges_need_critics_like_that_of_the_start():
  node = small.generator()
  local = jax.random.normal(KEY, (20, 2))
  for judge in (small.generator(critic=False), image_nodes(1)[0]):
    with pytest.raises(ValueError, match=r'judges\[1\]'):
      cj.adapt(KEY, node, local, judges=[node, judge])
  ball = adapting(game=small.config(objective='ball'), radius=0.1)
  with pytest.raises(ValueError, match='ball'):
    cj.adapt(KEY, node, local, config=ball, judges=[node, node])


def at_points(*points):
  """Nodes that make one point each."""
  made = []
  for k, point in enumerate(points):
    node = small.generator(k)
    flat = jax.tree.map(jnp.zeros_like, trees.flatten(node.params))
    last = [name for name in flat if name.endswith('bias')][-1]
    flat[last] = jnp.full_like(flat[last], point)
    made.append(node._replace(params=trees.unflatten(flat)))
  return made


QUICK = small.config(batch_size=32, learning_rate=0.02, ema=0.5)


@pytest.mark.slow
@pytest.mark.parametrize('weights', [(1.0, 0.0), (0.0, 1.0)])
def test_a_mixture_has_the_weights_and_one_critic(weights):
  nodes = at_points(0.0, 4.0)
  meta, history = cj.barycenter(
    KEY,
    nodes,
    weights,
    method='mixture',
    config=barycenter.Config(QUICK, small.schedule(40, 20), warmup=10),
  )
  assert history['w1'].shape == (2, 1)
  end = float(meta.sample(KEY, 50).mean())
  assert end > 0.3 if weights[1] else abs(end) < 0.3


@pytest.mark.slow
def test_a_mixed_anchor_is_seen_by_the_critic_of_the_samples():
  (meta,) = at_points(0.0)
  local = 4.0 + 0.1 * jax.random.normal(KEY, (20, 2))
  ends = []
  for anchor in (0.0, 0.95):
    edge, history = cj.adapt(
      KEY,
      meta,
      local,
      config=adaptation.Config(
        QUICK, small.schedule(40, 20), anchor=anchor, mixed=True, warmup=10
      ),
    )
    assert history['w1'].shape == (2, 1)
    ends.append(float(edge.sample(KEY, 50).mean()))
  assert ends[0] > ends[1] + 0.1
  with pytest.raises(ValueError, match='mixed has one'):
    adapting(game=small.config(objective='ball'), radius=1.0, mixed=True)


@pytest.mark.slow
def test_members_have_anchors_and_rates_of_their_own():
  meta = small.generator()
  keys = jax.random.split(KEY, 2)
  local = jax.random.normal(KEY, (2, 12, 2))
  numbers = {'anchor': np.array([0.25, 0.75]), 'rate': np.array([1.0, 0.3])}
  twice = meta._replace(
    params=trees.stack([meta.params] * 2), critic=trees.stack([meta.critic] * 2)
  )
  together, _ = cj.adapt(keys, twice, local, config=adapting(**numbers))
  for s in range(2):
    config = adapting(**{k: v[s] for k, v in numbers.items()})
    alone, _ = cj.adapt(keys[s], meta, local[s], config=config)
    close(trees.member(together.params, s), alone.params, 1e-5)
  with pytest.raises(ValueError, match=r'anchor has shape \(3,\)'):
    cj.adapt(keys, twice, local, config=adapting(anchor=np.full(3, 0.5)))
  with pytest.raises(ValueError, match='not in'):
    adapting(anchor=np.array([0.5, 1.0]))


@pytest.mark.slow
def test_adaptation_takes_augmentation_freezing_and_early_stopping():
  config = adaptation.Config(
    game=small.config(augment='translation,cutout,flip', freeze=('conv_0/.*',)),
    schedule=small.schedule(4, 2, select_every=2),
    warmup=0,
    held_out=0.2,
  )
  meta = image_nodes(1)[0]
  edge, _ = cj.adapt(KEY, meta, small.images(), config=config)
  assert equal(edge.critic['conv_0'], meta.critic['conv_0'])
  assert not equal(edge.critic['conv_1'], meta.critic['conv_1'])


@pytest.mark.parametrize(
  'settings',
  [
    {'leaves': LEAVES, 'critic': True},
    pytest.param(
      {'leaves': LEAVES, 'thresholds_first': False}, marks=pytest.mark.slow
    ),
  ],
)
def test_ternarization_ships_exactly_ternary_weights(tmp_path, settings):
  config = adapting(ternary=ternary_config.Ternary(**settings))
  edge, seen = image_nodes(1)[0], {}
  hooks = loop.Hooks(observe_state=seen.setdefault)
  made, _ = cj.ternarize(
    KEY, edge, small.images(), config=config, hooks=lambda part: hooks
  )
  assert made.spec.encodings['ternary']['leaves'] == [
    'project/kernel',
    'up_1/kernel',
  ]
  assert has_three_values(made.params['up_1']['kernel'])
  cj.save(tmp_path / 'a.safetensors', made)
  assert equal(cj.load(tmp_path / 'a.safetensors').params, made.params)
  assert bundle.size_bytes(made) < bundle.size_bytes(edge)
  # Critics are ternary where that was asked for.
  kernel = made.critic['conv_1']['kernel']
  assert kernel.shape == edge.critic['conv_1']['kernel'].shape
  assert has_three_values(kernel) == ('critic' in settings)
  # An observer sees thresholds, the start of them and the end.
  first, last = (
    ternary_lib.thresholds(seen[step].ema)['up_1/kernel']
    for step in (0, config.schedule.steps)
  )
  assert first == pytest.approx(0.61, rel=1e-5)
  assert abs(last - first) > 1e-5


def has_three_values(kernel):
  """In each channel."""
  columns = np.asarray(kernel).reshape(-1, kernel.shape[-1]).T
  return all(len(np.unique(column)) == 3 for column in columns)


def test_baselines_start_where_they_say():
  nodes, images = image_nodes(2), small.images()
  still = adaptation.Config(
    game=small.config(), schedule=small.schedule(1, 1), rate=1e-9
  )
  moved, _ = baselines.transfer(KEY, nodes[0], images, config=still)
  close(moved.params, nodes[0].params, atol=1e-6)
  mixed, _ = baselines.ensemble(KEY, nodes, images, config=still)
  close(mixed.params, nodes[0].params, atol=1e-6)
  fresh, _ = baselines.edge_only(KEY, small.IMAGES, images, config=still)
  assert not equal(fresh.params, nodes[0].params)


def test_generators_have_rates_of_their_own_member_by_member():
  one = small.generator(0)
  start = one._replace(
    params=trees.stack([one.params] * 2), critic=trees.stack([one.critic] * 2)
  )
  local = jax.random.normal(KEY, (2, 20, 2))
  config = adaptation.Config(
    game=small.config(ema=0.0), schedule=small.schedule(1, 1), anchor=0.0,
    warmup=0,
  )  # fmt: skip

  def moved(**rates):
    made, _ = cj.adapt(
      jax.random.split(KEY, 2), start, local,
      config=dataclasses.replace(config, **rates),
    )  # fmt: skip
    return jax.tree.map(lambda a, b: a - b, made.params, start.params), made

  change, made = moved(generator_rate=np.array([0.0, 3.0]))
  once, _ = moved()
  assert equal(trees.member(made.params, 0), one.params)
  close(
    trees.member(change, 1),
    jax.tree.map(lambda leaf: 3.0 * leaf, trees.member(once, 1)),
    atol=1e-6,
  )
  assert not equal(trees.member(change, 1), trees.member(once, 1))
  # Critics do not see it.
  assert equal(made.critic, moved()[1].critic)


def test_transfer_moves_at_a_tenth_of_the_rate():
  node = image_nodes(1)[0]
  config = adaptation.Config(
    game=small.config(ema=0.0), schedule=small.schedule(1, 1)
  )
  steps = [
    baselines.transfer(KEY, node, small.images(), config=config, rate=r)[0]
    for r in (1.0, 0.1)
  ]
  full, tenth = (
    np.asarray(g.params['out']['kernel'] - node.params['out']['kernel'])
    for g in steps
  )
  # Critics move less as well, so that only the size is a tenth.
  ratio = np.abs(tenth).mean() / np.abs(full).mean()
  assert ratio == pytest.approx(0.1, rel=0.05)


def test_the_model_average_is_the_mean_of_the_parameters():
  nodes = image_nodes(2)
  made = baselines.model_average(nodes, (0.25, 0.75))
  expected = jax.tree.map(
    lambda a, b: 0.25 * a + 0.75 * b, nodes[0].params, nodes[1].params
  )
  close(made.params, expected, atol=1e-6)


@pytest.mark.slow
def test_published_habits_are_a_preset():
  images, nodes = small.images(), image_nodes(2)
  meta_config, edge_config = (
    barycenter.paper_code(steps=2, samples=50),
    adaptation.paper_code(steps=2, samples=50),
  )
  assert meta_config.game.gp_norm == 'channel' and meta_config.scale_weights
  meta, _ = cj.barycenter(KEY, nodes, objective='w1', config=meta_config)
  edge, history = cj.adapt(KEY, meta, images, config=edge_config)
  assert history['coefficient'][-1].sum() == pytest.approx(2.0)
  assert edge.sample(KEY, 2).shape == (2, 8, 8, 1)


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
  made, history = cj.barycenter(KEY, members, config=meeting(start=start))
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
    cj.barycenter(KEY, image_nodes(2), weights)


def test_bad_barycenters_are_refused():
  with pytest.raises(ValueError, match="'mixture' has no objective 'ball'"):
    cj.barycenter(
      KEY, [small.generator()] * 2, method='mixture', objective='ball'
    )
  nodes = image_nodes(2)
  other = small.generator(0, small.VECTORS)
  for members, settings, match in (
    (nodes[:1], {}, 'needs 2'),
    ([nodes[0], other], {}, 'samples of one shape'),
    (nodes, {'method': 'mean'}, 'method'),
    (nodes, {'objective': 'ball'}, 'radii'),
    (nodes, {'objective': 'w2'}, 'objective'),
    (nodes, {'config': barycenter.Config(start=5)}, 'start 5'),
  ):
    with pytest.raises(ValueError, match=match):
      cj.barycenter(KEY, members, **settings)


def test_bad_architectures_of_a_new_barycenter_are_refused():
  nodes = image_nodes()
  with pytest.raises(ValueError, match='spec is of a new generator'):
    meeting(spec=nodes[0].spec)
  other = dataclasses.replace(nodes[0].spec, image_shape=(28, 28, 1))
  with pytest.raises(ValueError, match='spec has image_shape'):
    cj.barycenter(KEY, nodes, config=meeting(start=None, spec=other))


def test_bad_local_samples_are_refused():
  meta = image_nodes(1)[0]
  with pytest.raises(ValueError, match='7 local samples, at least 8'):
    cj.adapt(KEY, meta, small.images(7))
  with pytest.raises(ValueError, match='the generator makes'):
    cj.adapt(KEY, meta, small.images(9, shape=(28, 28, 1)))
  with pytest.raises(ValueError, match='anchor'):
    adaptation.Config(anchor=1.0)
  with pytest.raises(ValueError, match='no data sets'):
    cj.pretrain(KEY, [], small.IMAGES)
  with pytest.raises(ValueError, match='node 0'):
    cj.pretrain(KEY, [np.zeros((9, 3))], small.VECTORS)


def test_generators_of_specs_alone_have_no_critic():
  spec = dataclasses.replace(small.IMAGES, critic=None, critic_options=())
  with pytest.raises(ValueError, match='without a critic'):
    spec.build_critic()
  bare = generator.create(spec, spec.build().init(KEY))
  edge, _ = cj.adapt(KEY, bare, small.images(), config=adapting())
  assert edge.spec.critic == 'dcgan'
