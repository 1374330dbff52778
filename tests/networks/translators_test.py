"""U-Net and ResNet against the same networks by XLA's convolutions."""

import functools

import jax
from jax.extend import core
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.networks import translation_layers
from coalesce_jax.networks import translators
from coalesce_jax.ops import patch_geometry
from tests.networks import translation_references as references

KEY = jax.random.key(0)
SMALL = {'unet': {'downs': 2}, 'resnet': {'blocks': 1}}
REFERENCES = {'unet': references.unet, 'resnet': references.resnet}


def made(name, channels=(2, 3), width=2, **options):
  network = translators.translator(
    name,
    in_channels=channels[0],
    out_channels=channels[1],
    width=width,
    **options,
  )
  return network, drawn(network)


def drawn(network, seed=0):
  """Parameters drawn by NumPy, none of them zero or one."""
  rng = np.random.default_rng(seed)
  return trees.map_named(
    lambda name, leaf: jnp.float32(
      0.3 * rng.normal(size=leaf.shape) + name.endswith('scale')
    ),
    jax.eval_shape(network.init, KEY),
  )


def images(*shape, seed=1):
  return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize(
  'name,options',
  [
    ('unet', {'downs': 2, 'norm': 'instance'}),
    ('unet', {'downs': 3, 'norm': 'batch', 'width': 1}),
    ('unet', {'downs': 2, 'norm': 'group', 'width': 12}),
    ('unet', {'downs': 1, 'norm': 'layer', 'upsampling': 'resize'}),
    pytest.param(
      'unet',
      {'downs': 3, 'norm': 'none', 'upsampling': 'resize'},
      marks=pytest.mark.slow,
    ),
    ('resnet', {'blocks': 1, 'norm': 'instance'}),
    ('resnet', {'blocks': 2, 'norm': 'none', 'upsampling': 'resize'}),
  ],
)
def test_networks_are_the_published_ones(name, options):
  network, params = made(name, **options)
  side = 2 ** options.get('downs', 3)
  x = images(2, side, 2 * side, 2)

  @jax.jit
  def both(params, x):
    with jax.numpy_rank_promotion('allow'):
      expected = REFERENCES[name](params, x, options['norm'])
    return network.apply(params, x), expected

  found, expected = both(params, x)
  assert found.shape == (2, side, 2 * side, 3) and found.std() > 0.05
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize(
  'name,options,size,padded',
  [
    # The lesser half of the pad comes first.
    ('unet', {'downs': 2}, (5, 8), ((1, 2), (0, 0))),
    # Sides less than the pad, which reflects again and again.
    ('unet', {'downs': 3}, (2, 11), ((3, 3), (2, 3))),
    ('resnet', {'blocks': 1}, (9, 3), ((1, 2), (2, 3))),
  ],
)
def test_any_size_equals_the_crop_of_a_padded_image(
  name, options, size, padded
):
  network, params = made(name, **options)
  apply = jax.jit(network.apply)
  x = images(2, *size, 2)
  whole = apply(params, np.pad(x, ((0, 0), *padded, (0, 0)), 'reflect'))
  (top, _), (left, _) = padded
  np.testing.assert_allclose(
    apply(params, x),
    whole[:, top : top + size[0], left : left + size[1]],
    rtol=1e-4,
    atol=1e-5,
  )


@pytest.mark.parametrize('name', SMALL)
def test_images_of_one_pixel_are_refused(name):
  network, params = made(name, **SMALL[name])
  with pytest.raises(ValueError, match='images of 1 x 7 pixels'):
    network.apply(params, images(1, 1, 7, 2))


def products(network, params, x):
  """Multiplications of the products that a network is traced to."""
  with patch_geometry.plain():
    # A new function: a traced one would be remembered.
    traced = jax.make_jaxpr(lambda *args: network.apply(*args))(params, x)

  def count(jaxpr):
    total = 0
    for e in jaxpr.eqns:
      if e.primitive.name == 'precision_dot':
        a, (axis, out) = e.invars[0].aval, (e.params['axis_a'], e.outvars[0])
        total += a.shape[axis] * out.aval.size
      for inner in core.jaxprs_in_params(e.params):
        total += count(inner)
    return total

  return count(traced.jaxpr)


@pytest.mark.parametrize(
  'name,millions,billions', [('unet', 7.3, 0.095), ('resnet', 1.97, 0.57)]
)
def test_sizes_and_costs_are_those_of_the_published_networks(
  name, millions, billions
):
  network = translators.translator(
    name, in_channels=3, out_channels=3, width=32
  )
  params = jax.eval_shape(network.init, KEY)
  x = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  if name == 'unet':
    widths = [3, 32, 64, 128, 256, 256, 256]
    downs = list(zip(widths, widths[1:], strict=False))
    # From the joined maps, save the innermost.
    ups = [
      (2 * b if b > a or i < 5 else b, a) for i, (a, b) in enumerate(downs)
    ]
    weights = sum(16 * a * b for a, b in downs + ups)
    # Norms: four down and five up. Biases: two down, one up.
    small = 2 * (64 + 128 + 256 + 256) + 2 * (32 + 64 + 128 + 256 + 256)
    small += 32 + 256 + 3
    macs = sum(
      16 * 4 ** (5 - i) * (a * b + c * d)
      for i, ((a, b), (c, d)) in enumerate(zip(downs, ups, strict=True))
    )
  else:
    stem, block = 49 * 3 * 32, 9 * 128 * 128
    first, second = 9 * 32 * 64, 9 * 64 * 128
    weights = 2 * (stem + first + second) + 12 * block
    small = 2 * (2 * 32 + 2 * 64 + 13 * 128) + 3
    # The last 7 x 7 convolution computes products of the padded map, once.
    macs = 64**2 * stem + 70**2 * stem + 32**2 * first + 16**2 * second
    macs += 16**2 * second + 32**2 * first + 12 * 16**2 * block
  assert trees.count(params) == weights + small
  assert (weights + small) / 1e6 == pytest.approx(millions, rel=0.005)
  found = products(network, params, x)
  assert found == macs
  assert found / 1e9 == pytest.approx(billions, rel=0.02)


def test_parameters_start_as_those_of_pix2pix():
  network, _ = made('unet', width=16, downs=2)
  resized = translation_layers.Up(64, upsampling='resize')

  @jax.jit
  def init(key):
    started = resized.init(key, jnp.ones((16, 2, 2, 1)))['params']
    return {'unet': network.init(key), 'resized': started}

  params = trees.flatten(init(KEY))
  for name, value in params.items():
    if name.endswith('kernel'):
      # Five standard errors.
      error = 5.0 * 0.02 / np.sqrt(value.size)
      assert abs(value.mean()) < error, name
      assert abs(value.std() - 0.02) < error, name
    else:
      assert (value == (1.0 if name.endswith('scale') else 0.0)).all(), name
  assert {name.rpartition('/')[2] for name in params} == {
    'kernel', 'bias', 'scale', 'shift',
  }  # fmt: skip


def test_dropout_follows_the_noise_of_each_sample():
  network, params = made('unet', downs=6, width=1, dropout=0.5)
  x = images(2, 64, 64, 2)
  noise = np.uint32([[1, 2], [3, 4]])

  @jax.jit
  def apply(x, noise):
    # Other entries of a prior are not read.
    prior = {'condition': x, 'noise': noise, 'target': None}
    return network.apply(params, prior)

  both = apply(x, noise)
  # The same numbers for a sample wherever it stands in a batch.
  np.testing.assert_allclose(
    apply(x[::-1], noise[::-1])[::-1], both, rtol=1e-4, atol=1e-5
  )
  other = apply(x, noise[::-1])
  assert (np.abs(other - both).max((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize(
  'name,options', [('unet', {'downs': 6}), ('resnet', {'blocks': 1})]
)
def test_without_noise_there_is_no_dropout(name, options):
  plain, params = made(name, **options)
  network, _ = made(name, dropout=0.5, **options)
  x = images(1, 8, 8, 2)
  programs = [
    str(jax.make_jaxpr(network.apply)(params, given))
    for given in (x, {'condition': x}, {'condition': x, 'noise': None})
  ]
  assert set(programs) == {str(jax.make_jaxpr(plain.apply)(params, x))}
  noise = np.uint32([[1, 2]])
  drops = jax.make_jaxpr(network.apply)(
    params, {'condition': x, 'noise': noise}
  )
  assert str(drops).count('random_bits') == 1


def test_dropout_keeps_the_mean():
  x = jnp.ones((8, 5, 5, 40))
  keys = jax.random.bits(KEY, (40, 2), jnp.uint32)
  drop = functools.partial(translation_layers.dropout, x)
  y = np.asarray(drop(0.25, keys, 1))
  np.testing.assert_allclose(y[y > 0], 1.0 / 0.75, rtol=1e-6)
  assert abs((y == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / y.size)
  assert (y != drop(0.25, keys, 2)).any()
  assert (y[..., 0] != y[..., 1]).any()
  assert drop(0.25, None, 1) is x and drop(0.0, keys, 1) is x


@pytest.mark.parametrize(
  'name', ['unet', pytest.param('resnet', marks=pytest.mark.slow)]
)
def test_vmap_over_parameters_equals_a_loop(name):
  network, one = made(name, width=1, **SMALL[name])
  two, x = drawn(network, 1), images(2, 8, 8, 2)
  together = jax.jit(jax.vmap(network.apply, (0, None)))(
    jax.tree.map(lambda *leaves: jnp.stack(leaves), one, two), x
  )
  alone = jax.jit(network.apply)
  for found, params in zip(together, (one, two), strict=True):
    np.testing.assert_allclose(found, alone(params, x), rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(
  'name', ['unet', pytest.param('resnet', marks=pytest.mark.slow)]
)
def test_gradients_are_finite_differences(name):
  network, params = made(name, **SMALL[name])
  x, weights = images(1, 7, 6, 2), images(1, 7, 6, 3, seed=2)
  direction = drawn(network, 5)

  def score(t):
    moved = jax.tree.map(lambda p, d: p + t * d, params, direction)
    return jnp.vdot(network.apply(moved, x), weights)

  value = jax.jit(score)
  h = 1e-3
  np.testing.assert_allclose(
    jax.jit(jax.grad(score))(0.0),
    (value(h) - value(-h)) / (2 * h),
    rtol=0.02,
    atol=0.02,
  )


def test_features_are_the_maps_of_the_translators_encoder():
  options = {'blocks': 2, 'width': 2}
  network, params = made('resnet', **options)
  numbers = (0, 4, 8, 12, 13)
  encoder = translators.features(
    'resnet', in_channels=2, out_channels=3, layers=numbers, **options
  )
  x = images(2, 8, 12, 2)

  @jax.jit
  def both(params, x):
    with jax.numpy_rank_promotion('allow'):
      expected = references.resnet(params, x, numbers=numbers)
    return encoder.apply(params, x), expected

  for a, b in zip(*both(params, x), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)
  same = jax.eval_shape(encoder.init, KEY)
  assert same == jax.eval_shape(network.init, KEY)
  # In the order that is asked for, and nothing beyond the last.
  few = translators.features(
    'resnet', in_channels=2, out_channels=3, layers=(4, 0), **options
  )
  stem, down = 49 * 2 * 2 * (8 * 12), 9 * 2 * 4 * (4 * 6)
  assert products(few, params, x) == 2 * (stem + down)
  shapes = [a.shape for a in jax.eval_shape(few.apply, params, x)]
  assert shapes == [(2, 4, 6, 4), (2, 8, 12, 2)]


def test_the_features_of_cut_are_five_maps():
  encoder = translators.features(
    'resnet', in_channels=3, out_channels=1, width=8
  )
  x = jnp.zeros((2, 64, 32, 3))
  maps = jax.eval_shape(lambda: encoder.apply(encoder.init(KEY), x))
  assert [a.shape for a in maps] == [
    (2, 64, 32, 3), (2, 32, 16, 16), *3 * [(2, 16, 8, 32)],
  ]  # fmt: skip


@pytest.mark.parametrize(
  ('name', 'options', 'widths'),
  [
    ('unet', {'downs': 1}, (2,)),
    ('unet', {'downs': 5}, (2, 4, 8, 16, 16, 16, 8, 4, 2)),
    ('resnet', {'blocks': 2}, (2, 4, 8, 8, 8, 4, 2)),
  ],
)
def test_widths_are_by_rule_or_given(name, options, widths):
  def shapes(**more):
    network, _ = made(name, **options, **more)
    return jax.tree.map(
      lambda leaf: leaf.shape, jax.eval_shape(network.init, KEY)
    )

  # A width does not matter beside all of them.
  assert shapes(widths=widths) == shapes(width=2)
  assert shapes(widths=[*widths], width=7) == shapes(width=2)
  assert shapes(widths=(3, *widths[1:])) != shapes(width=2)


def test_dropout_stands_at_the_same_layers_for_any_widths():
  network, params = made(
    'unet', downs=6, dropout=0.5, widths=tuple(range(1, 12))
  )
  x = images(1, 64, 64, 2)
  noise = jax.random.key_data(jax.random.split(KEY, 1))
  drops = jax.make_jaxpr(network.apply)(
    params, {'condition': x, 'noise': noise}
  )
  # In the block between the maps of the fourth and the fifth convolution.
  assert str(drops).count('random_bits') == 1


def test_equal_arguments_give_the_same_network():
  def make(**options):
    return translators.translator(
      'unet', in_channels=1, out_channels=1, **options
    )

  assert make() is make(width=64, downs=6) is not make(downs=5)


@pytest.mark.parametrize(
  'name,options,message',
  [
    ('vnet', {}, "'vnet' is not one of"),
    ('unet', {'downs': 0}, r'downs 0 is not in \[1, 8\]'),
    ('unet', {'downs': 9}, r'not in \[1, 8\]'),
    ('unet', {'blocks': 3}, 'does not take the options'),
    ('resnet', {'blocks': 13}, r'blocks 13 is not in \[1, 12\]'),
    ('resnet', {'width': 4097}, 'width 4097'),
    ('resnet', {'norm': ['instance']}, 'norm'),
    ('resnet', {'upsampling': 'bilinear'}, 'upsampling'),
    ('unet', {'dropout': 1.0}, 'dropout 1.0'),
    ('unet', {'dropout': -0.1}, 'dropout'),
    ('unet', {'downs': 2, 'widths': (1, 2)}, 'are not a list of 3'),
    ('resnet', {'blocks': 1, 'widths': (1,) * 5}, 'are not a list of 6'),
    ('resnet', {'blocks': 1, 'widths': (1,) * 5 + (4097,)}, 'widths 4097'),
    ('unet', {'in_channels': 65}, r'in_channels 65 is not in \[1, 64\]'),
    ('unet', {'out_channels': 0}, 'out_channels 0'),
  ],
)
def test_bad_options_are_refused(name, options, message):
  with pytest.raises(ValueError, match=message):
    translators.translator(
      name, **{'in_channels': 3, 'out_channels': 3} | options
    )


@pytest.mark.parametrize(
  'name,layers,message',
  [
    ('unet', (0,), 'no encoder features'),
    ('resnet', (0, 3), r'layers \(0, 3\)'),
    ('resnet', (18,), r'layers \(18,\)'),
    ('resnet', (), 'layers'),
  ],
)
def test_layers_without_features_are_refused(name, layers, message):
  with pytest.raises(ValueError, match=message):
    translators.features(name, in_channels=3, out_channels=3, layers=layers)
