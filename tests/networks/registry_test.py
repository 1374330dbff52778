"""Architectures by name: shapes, ranges, bounds."""

import jax
import jax.numpy as jnp
import pytest

from coalesce_jax.core import trees
from coalesce_jax.networks import registry

KEY = jax.random.key(0)
SHAPES = [
  ('dcgan', (size, size, channels), {'width': 8})
  for size in (8, 28, 32, 64)
  for channels in (1, 3)
]
SHAPES += [
  ('wgan_gp_mnist', (28, 28, 1), {'width': 4}),
  ('mlp', (2,), {'hidden': (16,)}),
  ('mlp', (8, 8, 1), {'hidden': (16,)}),
]


@pytest.mark.parametrize('name,shape,options', SHAPES)
def test_generators_and_critics_fit_each_other(name, shape, options):
  generator = registry.generator(
    name, latent_size=5, data_shape=shape, **options
  )
  critic = registry.critic(name, data_shape=shape, **options)

  def run(key):
    x = generator.apply(generator.init(key), jnp.ones((3, 5)))
    return x, critic.apply(critic.init(key), x)

  x, scores = jax.eval_shape(run, KEY)
  assert x.shape == (3, *shape) and scores.shape == (3,)
  assert x.dtype == scores.dtype == jnp.float32


def test_the_sides_of_a_network_are_those_it_can_make():
  for name in registry.GENERATORS:
    sides = registry.sides(name)
    channels = 1 if name == 'wgan_gp_mnist' else 3
    for side in (8, 16, 28, 30, 32, 64, 128):
      try:
        registry.generator(
          name, latent_size=5, data_shape=(side, side, channels)
        )
        made = True
      except ValueError:
        made = False
      assert made == (not sides or side in sides), (name, side)


def test_the_paper_network_has_the_published_number_of_parameters():
  # 128 x 4096 + 256 x 128 x 25 + 128 x 64 x 25 + 64 x 25 weights, and biases
  # of 256, one a channel, where the published network has 4096.
  network = registry.generator(
    'wgan_gp_mnist', latent_size=128, data_shape=(28, 28, 1)
  )
  shapes = jax.eval_shape(network.init, KEY)
  weights = 128 * 4096 + 256 * 128 * 25 + 128 * 64 * 25 + 64 * 25
  assert trees.count(shapes) == weights + 256 + 128 + 64 + 1


def test_equal_arguments_give_the_same_network():
  one, two = (
    registry.critic('mlp', data_shape=(2,), hidden=hidden)
    for hidden in ((8, 8), [8, 8])
  )
  assert one is two


@pytest.mark.parametrize(
  'name,options,message',
  [
    ('nope', {}, 'not one of'),
    ('dcgan', {'width': 0}, r'not in \[1'),
    ('dcgan', {'width': 10**9}, r'not in \[1'),
    ('dcgan', {'width': 2.5}, 'whole number'),
    ('dcgan', {'depth': 3}, 'does not take'),
    ('dcgan', {'norm': 'batch'}, 'not one of'),
    ('wgan_gp_mnist', {}, 'makes images of 28'),
    ('dcgan', {'widths': (4, 4, 4)}, 'are not a list of 2'),
    ('dcgan', {'widths': 4}, 'are not a list of 2'),
    ('dcgan', {'widths': [4, 0]}, r'widths 0 is not in \[1, 4096\]'),
    ('dcgan', {'widths': [4, 4097]}, 'widths 4097'),
    ('mlp', {'hidden': (8,) * 99}, 'list of'),
  ],
)
def test_bad_options_are_refused(name, options, message):
  with pytest.raises(ValueError, match=message):
    registry.generator(name, latent_size=4, data_shape=(8, 8, 1), **options)


def test_bad_sizes_are_refused():
  for latent, shape in ((0, (8, 8, 1)), (4, (9, 9, 1)), (4, (8, 8, 2))):
    with pytest.raises(ValueError):
      registry.generator('dcgan', latent_size=latent, data_shape=shape)
