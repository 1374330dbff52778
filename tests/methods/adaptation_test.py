"""Adaptation and ternarization: critics, anchors, what is kept."""

import dataclasses

import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter
from coalesce_jax.methods import baselines
from coalesce_jax.models import bundle
from coalesce_jax.models import generator
from coalesce_jax.training import loop
from coalesce_jax.transforms import ternary as ternary_lib
from coalesce_jax.transforms import ternary_config
from tests import agreement
from tests import small
from tests.methods import presets

KEY = jax.random.key(0)
LEAVES = ('(?!out/).*kernel',)


def test_adaptation_keeps_shape_and_reports_two_critics():
  meta = presets.image_nodes(1)[0]
  edge, history = cj.adapt(KEY, meta, small.images(), config=presets.adapting())
  assert edge.sample(KEY, 3).shape == (3, 8, 8, 1)
  assert history['w1'].shape == (2, 2)
  assert not agreement.equal(edge.params, meta.params)


def test_without_an_anchor_there_is_one_critic():
  _, history = cj.adapt(
    KEY,
    presets.image_nodes(1)[0],
    small.images(),
    config=presets.adapting(anchor=0.0),
  )
  assert history['w1'].shape == (2, 1)


@pytest.mark.slow
def test_a_mixed_anchor_is_seen_by_the_critic_of_the_samples():
  (meta,) = presets.at_points(0.0)
  local = 4.0 + 0.1 * jax.random.normal(KEY, (20, 2))
  ends = []
  for anchor in (0.0, 0.95):
    edge, history = cj.adapt(
      KEY,
      meta,
      local,
      config=adaptation.Config(
        presets.QUICK,
        small.schedule(40, 20),
        anchor=anchor,
        mixed=True,
        warmup=10,
      ),
    )
    assert history['w1'].shape == (2, 1)
    ends.append(float(edge.sample(KEY, 50).mean()))
  assert ends[0] > ends[1] + 0.1
  with pytest.raises(ValueError, match='mixed has one'):
    presets.adapting(
      game=small.config(objective='ball'), radius=1.0, mixed=True
    )


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
  config = presets.adapting(ternary=ternary_config.Ternary(**settings))
  edge, seen = presets.image_nodes(1)[0], {}
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
  assert agreement.equal(
    cj.load(tmp_path / 'a.safetensors').params, made.params
  )
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


@pytest.mark.slow
def test_published_habits_are_a_preset():
  images, nodes = small.images(), presets.image_nodes(2)
  meta_config, edge_config = (
    barycenter.paper_code(steps=2, samples=50),
    adaptation.paper_code(steps=2, samples=50),
  )
  assert meta_config.game.gp_norm == 'channel' and meta_config.scale_weights
  meta, _ = cj.barycenter(KEY, nodes, objective='w1', config=meta_config)
  edge, history = cj.adapt(KEY, meta, images, config=edge_config)
  assert history['coefficient'][-1].sum() == pytest.approx(2.0)
  assert edge.sample(KEY, 2).shape == (2, 8, 8, 1)


def test_generators_of_specs_alone_have_no_critic():
  spec = dataclasses.replace(small.IMAGES, critic=None, critic_options=())
  with pytest.raises(ValueError, match='without a critic'):
    spec.build_critic()
  bare = generator.create(spec, spec.build().init(KEY))
  edge, _ = cj.adapt(KEY, bare, small.images(), config=presets.adapting())
  assert edge.spec.critic == 'dcgan'


def test_bad_local_samples_are_refused():
  meta = presets.image_nodes(1)[0]
  with pytest.raises(ValueError, match='7 local samples, at least 8'):
    cj.adapt(KEY, meta, small.images(7))
  with pytest.raises(ValueError, match='the generator makes'):
    cj.adapt(KEY, meta, small.images(9, shape=(28, 28, 1)))
  with pytest.raises(ValueError, match='channels are first'):
    cj.adapt(KEY, meta, np.zeros((9, 1, 8, 8), np.uint8))
  with pytest.raises(ValueError, match='anchor'):
    adaptation.Config(anchor=1.0)


@pytest.mark.parametrize('learn', [cj.adapt, cj.ternarize, baselines.transfer])
def test_values_that_may_mean_another_image_are_refused(learn):
  meta = presets.image_nodes(1)[0]
  unit = np.asarray(small.images()) / 255.0
  for images, match in (
    (unit, r'local samples: .*\* 2 - 1'),
    (255.0 * unit, 'from 0 to 255'),
    (np.where(unit > 0.9, np.nan, unit), 'NaN'),
    ('DIR', 'images.load'),
  ):
    with pytest.raises(ValueError, match=match):
      learn(KEY, meta, images)
