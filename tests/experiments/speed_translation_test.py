"""Translation in the speed experiment: operations, agreement, what is timed."""

import dataclasses
import importlib.util
import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from coalesce_jax.translation import cyclegan_method
from coalesce_jax.translation import pix2pix_method
from coalesce_jax.trials import timing
from experiments.speed import plots
from experiments.speed import steps
from experiments.speed import train
from experiments.speed import translation
from experiments.speed import translator_shapes
from experiments.speed.configs import default
from tests.networks import translation_references

SIZE = 8
ONCE = timing.Turns(rounds=1, seconds=1e-3, steps=1)
METHODS = ('pix2pix', 'cyclegan')

needs_torch = pytest.mark.skipif(
  importlib.util.find_spec('torch') is None, reason='PyTorch is not installed'
)


def case(method='pix2pix', **changes):
  fields = {'method': method, 'ngf': 3, 'ndf': 2, 'batch_size': 2, 'members': 0}
  return ml_collections.ConfigDict(fields | changes)


def tiny(method, size=SIZE, **changes):
  """Settings whose program compiles quickly."""
  config = translation.configured(case(method), size, blocks=1)
  return dataclasses.replace(
    config,
    networks=dataclasses.replace(config.networks, downs=2, n_layers_d=1),
    schedule=dataclasses.replace(config.schedule, fast_compile=True),
    **changes,
  )


def networks(method, config, size=SIZE):
  """Shapes of the parameters of a translator and of a critic."""
  library = {'pix2pix': pix2pix_method, 'cyclegan': cyclegan_method}[method]
  made, critic = library.networks(translation.data(size, 0, 1), config)
  spec = made if method == 'pix2pix' else made[0]
  return [
    jax.eval_shape(network.init, jax.random.key(0))
    for network in (spec.build(), critic)
  ]


def drawn(shapes, seed=0):
  """Parameters of these shapes, all of them random."""
  random = np.random.default_rng(seed)
  return jax.tree.map(
    lambda leaf: random.normal(0.1, 0.3, leaf.shape).astype(np.float32), shapes
  )


def start(method, config):
  """What a trainer reads of a state."""
  generator, critic = map(drawn, networks(method, config))
  if method == 'cyclegan':
    generator = {'ab': generator, 'ba': generator}
  critics = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), critic)
  return types.SimpleNamespace(generator=generator, critics=critics)


def convolutions(fn, *args):
  """Operations of every convolution in a traced function, in their order."""
  found = []
  for equation in jax.make_jaxpr(fn)(*args).eqns:
    if equation.primitive.name != 'conv_general_dilated':
      continue
    image, kernel = (v.aval.shape for v in equation.invars)
    dilated = max(equation.params['lhs_dilation']) > 1
    pixels = image if dilated else equation.outvars[0].aval.shape
    found.append(2 * int(np.prod(pixels[:3])) * int(np.prod(kernel)))
  return found


@pytest.mark.parametrize('method', METHODS)
def test_operations_are_those_of_convolutions(method):
  config = translation.configured(case(method, ngf=2), 32, blocks=2)
  generator, critic = networks(method, config, 32)
  channels = 6 if method == 'pix2pix' else 3
  translate = {
    'pix2pix': translation_references.unet,
    'cyclegan': translation_references.resnet,
  }[method]
  x = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  y = jax.ShapeDtypeStruct((1, 32, 32, channels), jnp.float32)
  score = translation_references.patchgan
  with jax.numpy_rank_promotion('allow'):
    made = convolutions(translate, generator, x)
    scored = convolutions(score, critic, y)
  assert made == translator_shapes.generator(config.networks, 32)
  assert scored == translator_shapes.critic(config.networks, 32, channels)


@pytest.mark.parametrize(
  ('layers', 'billions'),
  [
    (translator_shapes.unet(32, 6, 64), 0.095),
    (translator_shapes.resnet(32, 6, 64), 0.567),
    (translator_shapes.unet(64, 8, 256), 6.05),
    (translator_shapes.resnet(64, 9, 256), 49.6),
  ],
)
def test_multiplications_are_those_that_are_known(layers, billions):
  assert sum(layers) / 2e9 == pytest.approx(billions, rel=2e-3)


@needs_torch
@pytest.mark.parametrize(
  ('method', 'more'),
  [
    ('pix2pix', {}),
    ('cyclegan', {}),
    ('cyclegan', {'lambda_identity': 0.0}),
  ],
)
def test_operations_of_a_step_are_those_of_the_peer(method, more):
  import torch  # noqa: PLC0415
  from torch.utils import flop_counter  # noqa: PLC0415

  from experiments.speed import translator_steps  # noqa: PLC0415

  config = tiny(method, **more)
  trainer = translator_steps.TRAINERS[method](config, start(method, config))
  images = torch.zeros(2, 2, 3, SIZE, SIZE)
  with flop_counter.FlopCounterMode(display=False) as counted:
    trainer.step(*images)
  expected = translator_shapes.step(method, config, SIZE)
  assert counted.get_total_flops() == expected


@needs_torch
@pytest.mark.parametrize('method', METHODS)
def test_networks_of_the_peer_are_those_of_the_reference(method):
  import torch  # noqa: PLC0415

  from experiments.speed import torch_arrays  # noqa: PLC0415
  from experiments.speed import translators  # noqa: PLC0415

  config = tiny(method, 16)
  generator, critic = map(drawn, networks(method, config, 16))
  translate = {
    'pix2pix': translation_references.unet,
    'cyclegan': translation_references.resnet,
  }[method]
  channels = 6 if method == 'pix2pix' else 3
  for module, params, reference, count in (
    (translators.generator(config.networks), generator, translate, 3),
    (
      translators.PatchGan(config.networks, channels), critic,
      translation_references.patchgan, channels,
    ),
  ):  # fmt: skip
    translators.load(module, params)
    x = np.random.default_rng(1).uniform(-1, 1, (2, 16, 16, count))
    x = x.astype(np.float32)
    with jax.numpy_rank_promotion('allow'):
      expected = np.asarray(reference(params, x))
    with torch.no_grad():
      made = module(torch_arrays.images(x)).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(
      made.reshape(expected.shape), expected, rtol=1e-3, atol=1e-5
    )
  with pytest.raises(ValueError, match='layers differ'):
    translators.load(translators.generator(config.networks), critic)


@needs_torch
def test_a_pool_keeps_every_fake_once():
  import torch  # noqa: PLC0415

  from experiments.speed import translator_steps  # noqa: PLC0415

  pool = translator_steps.Pool(3)
  fakes = torch.arange(60.0).reshape(15, 4, 1, 1, 1)
  first = pool.exchange(fakes[0])
  assert first[:3].equal(fakes[0, :3])
  seen = [first, *map(pool.exchange, fakes[1:])]
  later = torch.cat(seen).flatten().tolist()
  # The three of the start are seen again at most once each.
  assert len(later) == 60 and len(set(later[3:])) == 57
  old = sum(x < y for x, y in zip(later[3:], range(3, 60), strict=True))
  assert 15 < old < 45
  assert translator_steps.Pool(0).exchange(fakes[0]) is not None


@needs_torch
def test_settings_that_the_peer_does_not_have_are_refused():
  from experiments.speed import translator_steps  # noqa: PLC0415

  config = tiny('pix2pix')
  state = start('pix2pix', config)
  batch = dataclasses.replace(config.networks, norm='batch')
  for other, match in (
    (dataclasses.replace(config, networks=batch), '^norm: only'),
    (dataclasses.replace(config, gan_mode='hinge'), '^gan_mode: only'),
  ):
    with pytest.raises(ValueError, match=match):
      translator_steps.Pix2pix(other, state)


@pytest.fixture
def small_products(monkeypatch):
  monkeypatch.setitem(steps.SIDE, 'cpu', 64)


def check(method):
  """Times one step, and returns how far the peers agree with it."""
  config = tiny(method, learning_rate=2e-3)
  known = translation.OPTIONS_OF_PEERS
  peers = steps.available(tuple(known), known)
  row = translation.measure(
    method, config, SIZE, peers=peers, turns=ONCE, seed=0
  )
  assert set(row['ratios']) == set(peers)
  seconds = row['step_seconds']
  for name, ratio in row['ratios'].items():
    assert ratio == pytest.approx(seconds[name] / seconds['ours'])
  operations = translator_shapes.step(method, config, SIZE)
  share = operations / seconds['ours'] / row['rate']
  assert row['share_of_rate'] == pytest.approx(share)
  return row.get('agreement', {})


@pytest.mark.slow
@pytest.mark.usefixtures('small_products')
def test_a_step_of_pix2pix_is_that_of_its_peers():
  for name, found in check('pix2pix').items():
    assert found['difference'] < 1e-5, (name, found)
    assert set(found['ours']) == {'train_gap', 'term/l1'}


@pytest.mark.slow
@pytest.mark.usefixtures('small_products')
def test_a_step_of_cyclegan_is_that_of_its_peers():
  for name, found in check('cyclegan').items():
    assert found['difference'] < 5e-5, (name, found)
    assert set(found['ours']) == {'train_gap', 'term/cycle', 'term/identity'}
    assert len(found['ours']['train_gap']) == 2


@pytest.mark.usefixtures('small_products')
def test_a_peer_that_trains_otherwise_is_not_timed(monkeypatch):
  pytest.importorskip('torch')
  monkeypatch.setattr(translation, 'LARGEST_DIFFERENCE', -1.0)
  row = translation.measure(
    'pix2pix', tiny('pix2pix'), SIZE, peers=('eager',), turns=ONCE, seed=0
  )
  assert row['agreement']['eager']['difference'] < 1e-5
  assert row['ratios'] == {} and 'eager' not in row['step_seconds']


@pytest.mark.slow
@pytest.mark.usefixtures('small_products')
def test_members_are_one_program():
  row = translation.measure(
    'pix2pix', tiny('pix2pix'), SIZE, peers=(), members=3, turns=ONCE, seed=0
  )
  seconds = row['step_seconds']
  loop = 3 * seconds['ours'] / seconds['members']
  assert row['members']['loop_ratio'] == pytest.approx(loop)
  assert row['members']['count'] == 3 and row['ratios'] == {}


def test_cases_of_a_configuration_have_the_defaults_of_their_method():
  part = default.get_config().translation
  for each in part.cases.values():
    config = translation.configured(each, part.size, part.blocks)
    assert not config.flip and config.networks.ngf == each.ngf
    assert config.networks.downs == 6 and config.batch_size == each.batch_size
  assert translation.configured(case(), 16, 1).networks.downs == 4
  with pytest.raises(ValueError, match="method 'cut' is not one of"):
    translation.configured(case('cut'), 64, 6)
  config = default.get_config()
  config.parts, config.translation.peers = ('translation',), ('compile',)
  with pytest.raises(ValueError, match='peers'):
    train.plan('', config, lambda: False)


def test_translation_is_summarised_and_drawn():
  row = {
    'method': 'pix2pix', 'size': 64, 'ngf': 32, 'ndf': 64, 'batch_size': 16,
    'ratios': {'eager': 1.5, 'channels_last': 2.0}, 'share_of_rate': 1.2,
    'members': {'count': 4, 'loop_ratio': 1.1},
    'agreement': {'eager': {'difference': 1e-5}},
  }  # fmt: skip
  other = row | {'ngf': 16, 'ratios': {'eager': 1.7, 'channels_last': 2.1}}
  del other['members']
  summary = train.summarise(
    {'translation_pix2pix': row, 'translation_narrow': other}
  )
  assert summary['ratios']['pix2pix_64px_w32_d64_b16'] == {
    'eager': 1.5, 'channels_last': 2.0, 'share_of_rate': 1.2,
    'members': {'count': 4, 'loop_ratio': 1.1}, 'difference': {'eager': 1e-5},
  }  # fmt: skip
  assert 'members' not in summary['ratios']['pix2pix_64px_w16_d64_b16']
  drawn = plots.figures(summary)
  assert set(drawn) == {'translation'}
  peers, shares = drawn['translation'].axes
  assert [bar.get_height() for bar in peers.patches] == [1.5, 1.7, 2.0, 2.1]
  assert [bar.get_height() for bar in shares.patches] == [120.0] * 2
