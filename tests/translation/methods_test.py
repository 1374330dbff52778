"""pix2pix, CycleGAN and CUT: their losses, and what they learn and refuse."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax import translation
from coalesce_jax.data import pair_settings
from coalesce_jax.training import loop
from coalesce_jax.translation import contrast
from coalesce_jax.translation import methods
from coalesce_jax.translation import scores
from coalesce_jax.translation import settings
from coalesce_jax.translation import training

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
NETWORKS = settings.Networks(ngf=4, downs=2, ndf=2, n_layers_d=1)
SMALL = settings.Networks(ngf=2, downs=1, ndf=2, n_layers_d=1, norm='none')
RESNET = dataclasses.replace(SMALL, net_g='resnet', blocks=1)
# One step at this rate leaves all parameters as they started.
STILL = {
  'schedule': loop.Schedule(2, 1, fast_compile=True),
  'learning_rate': 1e-12, 'flip': False,
}  # fmt: skip


def one_pair(channels=(3, 3)):
  """The same images for training and held out, so that a batch is known."""
  x, y = (RNG.uniform(-1, 1, (1, 8, 8, c)).astype(np.float32) for c in channels)
  split = {'condition': x, 'target': y}
  return split, split


def test_pix2pix_descends_lambda_times_the_l1_distance():
  pairs = one_pair((3, 1))
  config = settings.Pix2pix(SMALL, batch_size=2, lambda_l1=7.0, **STILL)
  made, history = translation.pix2pix(KEY, pairs, config=config)
  gap = np.abs(np.asarray(made(pairs[0]['condition'])) - pairs[0]['target'])
  np.testing.assert_allclose(history['term/l1'], 7.0 * gap.mean(), rtol=1e-4)
  assert made.spec.condition_shape == (8, 8, 3)
  assert made.spec.image_shape == (8, 8, 1)
  # By name it is the same, checked at once or before.
  images = methods.check('pix2pix', pairs, config)
  for (again,), _ in (
    methods.train('pix2pix', KEY, pairs, config=config),
    methods.fit('pix2pix', KEY, images, config=config),
  ):
    chex.assert_trees_all_equal(again.params, made.params)


def test_cyclegan_descends_both_ways_there_and_back():
  domains = one_pair()
  config = settings.CycleGan(SMALL, batch_size=2, pool_size=2, **STILL)
  (ab, ba), history = translation.cyclegan(KEY, domains, config=config)
  a, b = domains[0]['condition'], domains[0]['target']
  mean = lambda x, y: np.abs(np.asarray(x) - y).mean()  # noqa: E731
  ab, ba = (functools.partial(g.network.apply, g.params) for g in (ab, ba))
  np.testing.assert_allclose(
    history['term/cycle'],
    10.0 * (mean(ba(ab(a)), a) + mean(ab(ba(b)), b)),
    rtol=1e-3,
  )
  np.testing.assert_allclose(
    history['term/identity'],
    5.0 * (mean(ab(b), b) + mean(ba(a), a)),
    rtol=1e-3,
  )
  assert history['w1'].shape == (2, 2)
  # Stopped after a step, it goes on with the same pools and random numbers.
  kept = {}
  hooks = loop.Hooks(
    restore=lambda like: kept.get('state'),
    save=lambda step, tree: kept.update(state=(step, tree)),
    stop=lambda: not kept,
  )
  with pytest.raises(loop.Interrupted, match='step 1 of 2'):
    translation.cyclegan(KEY, domains, config=config, hooks=lambda _: hooks)
  _, resumed = translation.cyclegan(
    KEY, domains, config=config, hooks=lambda _: hooks
  )
  for name, values in resumed.items():
    np.testing.assert_array_equal(values, history[name][1:], name)


def test_the_contrast_is_the_cross_entropy_of_finding_the_place():
  x, y = (RNG.normal(size=(2, 5, 3)) for _ in range(2))
  logits = np.einsum('bpf,bqf->bpq', x, y) / 0.5
  shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  wanted = -np.log(shares[:, np.arange(5), np.arange(5)]).mean()
  found, gradient = jax.value_and_grad(contrast.loss, 1)(
    jnp.float32(x), jnp.float32(y), 0.5
  )
  np.testing.assert_allclose(found, wanted, rtol=1e-5)
  # Features of the input are constants.
  assert not np.any(gradient)


@pytest.mark.slow
def test_cut_averages_the_contrast_of_layers_and_of_both_domains():
  domains = one_pair()
  config = settings.Cut(
    RESNET, batch_size=1, nce_layers=(0, 4), patches=64, features=2,
    temperature=1e6, lambda_nce=3.0, **STILL,
  )  # fmt: skip
  made, history = translation.cut(KEY, domains, config=config)
  # At this temperature every place of the 8 x 8 image and of the 4 x 4 map
  # is a guess.
  wanted = 3.0 * (np.log(64.0) + np.log(16.0)) / 2.0
  np.testing.assert_allclose(history['term/nce'], wanted, rtol=1e-4)
  assert made(domains[0]['condition']).shape == (1, 8, 8, 3)


@pytest.mark.slow
def test_pix2pix_learns_a_mirror_of_seeds_as_of_one():
  rng = np.random.default_rng(0)
  images = rng.uniform(-1, 1, (40, 8, 8, 1)).round().astype(np.float32)
  pairs = {'condition': images, 'target': -images}
  config = settings.Pix2pix(
    NETWORKS, loop.Schedule(60, 30, select_every=30), batch_size=8,
    learning_rate=5e-3, ema=0.9,
  )  # fmt: skip
  keys = jax.random.split(KEY, 2)
  many, history = translation.pix2pix(keys, pairs, config=config)
  assert history['term/l1'].shape == (2, 2)
  fresh = rng.uniform(-1, 1, (8, 8, 8, 1)).round().astype(np.float32)

  def second(many):
    params = jax.tree.map(lambda leaf: leaf[1], many.params)
    return np.asarray(many._replace(params=params)(fresh))

  learned = np.abs(second(many) + fresh).mean()
  assert learned < 0.5 * np.abs(2 * fresh).mean()
  # Training enlarges differences of rounding: few steps tell more than many.
  few = dataclasses.replace(
    config, schedule=loop.Schedule(4, 2, select_every=2)
  )
  many, _ = translation.pix2pix(keys, pairs, config=few)
  alone, _ = translation.pix2pix(keys[1], pairs, config=few)
  np.testing.assert_allclose(alone(fresh), second(many), atol=1e-6)


@pytest.mark.parametrize(
  ('sizes', 'paired', 'wanted'),
  [
    ({'condition': (4, 8, 8, 1)}, True, "no array 'target'"),
    (
      {'condition': (4, 8, 8, 1), 'target': (3, 8, 8, 1)}, True,
      'are not pairs of one size',
    ),
    (
      {'condition': (1, 8, 8, 1), 'target': (1, 8, 8, 1)}, True,
      'at least 2 images',
    ),
    (
      {'condition': (8, 8, 1), 'target': (4, 8, 8, 1)}, False,
      'is not .N, H, W, C.',
    ),
  ],
)  # fmt: skip
def test_bad_pairs_are_refused(sizes, paired, wanted):
  pairs = {k: np.float32(RNG.uniform(-1, 1, v)) for k, v in sizes.items()}
  with pytest.raises(ValueError, match=wanted):
    training.data(pairs, None, paired)


def test_bright_images_that_were_loaded_are_taken(tmp_path):
  bright = np.full((12, 8, 8, 2), 60000, np.uint16)
  np.savez(tmp_path / 'a.npz', A=bright, B=bright)
  pairs = translation.load(
    str(tmp_path / 'a.npz'), pair_settings.Settings(crop_size=8)
  )
  found = training.data(pairs, (8, 8), True)
  np.testing.assert_allclose(found.target, 60000 / 32767.5 - 1.0, rtol=1e-6)
  scores.score(found.target, pairs[0].target, True)
  # Nobody knows the range of a caller's array.
  mine = {'condition': pairs[0].condition, 'target': pairs[0].target}
  with pytest.raises(ValueError, match='training: condition: .* too few'):
    training.data(mine, (8, 8), True)
  for bad, match in ((1.5, r'not in \[-1, 1\]'), (np.nan, '[0-9]+ NaN')):
    wrong = pairs[0]._replace(target=pairs[0].target * 0 + np.float32(bad))
    with pytest.raises(ValueError, match=f'a.npz, training: target: .*{match}'):
      training.data((wrong, pairs[1]), None, True)


def test_more_than_two_splits_are_refused():
  with pytest.raises(ValueError, match='3 splits of pairs'):
    training.data((1, 2, 3), None, True)


def test_a_tenth_is_held_out_and_crops_must_fit():
  images = RNG.uniform(-1, 1, (20, 8, 8, 1)).astype(np.float32)
  pairs = {'condition': images, 'target': -images}
  found = training.data(pairs, (8, 8), True)
  np.testing.assert_array_equal(found.held_condition, images[18:])
  np.testing.assert_array_equal(found.target, -images[:18])
  with pytest.raises(ValueError, match='smaller than crop_size'):
    training.data(pairs, (8, 9), True)
  small = {name: images[:, :4] for name, images in pairs.items()}
  with pytest.raises(ValueError, match=r'condition: images \(4, 8\) are small'):
    training.data((pairs, small), (8, 8), True)
  shifted = {'condition': images[:2], 'target': images[:3]}
  with pytest.raises(ValueError, match='held out: .* are not pairs'):
    training.data((pairs, shifted), None, True)


def test_domains_of_other_channels_cannot_be_their_own_identity():
  domains = one_pair((3, 1))
  with pytest.raises(ValueError, match='set lambda_identity to 0'):
    translation.cyclegan(
      KEY, domains, config=settings.CycleGan(RESNET, **STILL)
    )
  with pytest.raises(ValueError, match='encodes images of both'):
    translation.cut(KEY, domains, config=settings.Cut(RESNET, **STILL))


@pytest.mark.parametrize('norm', ['batch', 'instance'])
def test_the_validation_score_is_that_of_the_result(norm):
  networks = dataclasses.replace(NETWORKS, norm=norm)
  spec = training.spec(networks, (8, 8), (1, 1))
  made = training.result(spec, spec.build().init(KEY))
  images = RNG.uniform(-1, 1, (2, 5, 8, 8, 1)).astype(np.float32)
  data = training.Data(*map(jnp.asarray, (*images, *images)))
  found = training.l1(
    made.network, made.params, data, networks.generator_options()
  )
  wanted = np.abs(np.asarray(made.apply(images[0])) - images[1]).mean()
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_domain_distance_needs_no_pairs():
  images = RNG.uniform(-1, 1, (30, 9, 8, 3)).astype(np.float32)
  order = RNG.permutation(30)
  one = training.domain_distance(jnp.asarray(images), jnp.asarray(images))
  other = training.domain_distance(
    jnp.asarray(images[order]), jnp.asarray(images)
  )
  np.testing.assert_allclose(one, other, rtol=1e-5)
  far = training.domain_distance(jnp.asarray(images) * 0.1 + 0.5, images)
  assert far > one
