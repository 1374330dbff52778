"""What several generators must share, and the weights that mix them."""

import dataclasses
import re

import numpy as np
import pytest

from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from tests import small


def generators(**changes):
  """A generator, and one whose spec has these changes."""
  specs = small.VECTORS, dataclasses.replace(small.VECTORS, **changes)
  return [generator_lib.Generator(small.VECTORS.build(), {}, s) for s in specs]


def test_an_architecture_is_shared_by_other_critics_encodings_and_provenance():
  found = checks.same_architecture(
    generators(
      critic=None, critic_options=(), provenance={'seed': '3'},
      encodings={'ternary': {'leaves': []}},
    )
  )  # fmt: skip
  assert found == small.VECTORS


def test_what_only_the_first_generator_has_is_left_out():
  other, first = generators(
    provenance={'seed': '3'}, encodings={'ternary': {'leaves': []}}
  )
  assert checks.same_architecture([first, other]) == small.VECTORS


@pytest.mark.parametrize(
  ('field', 'value', 'text'),
  [
    ('network', 'wgan_gp_mnist', 'wgan_gp_mnist, % has mlp'),
    ('latent_size', 3, '3, % has 2'),
    ('image_shape', (5,), '(5,), % has (2,)'),
    ('options', (('hidden', (7,)),), 'hidden (7,), % has hidden (16,)'),
  ],
)
def test_other_architectures_are_refused_by_field(field, value, text):
  pair = generators(**{field: value})
  for names in (None, ['a/x', 'b/y']):
    first, other = names or ('generator 0', 'generator 1')
    message = f'{other} has {field} {text}: all'.replace('%', first)
    with pytest.raises(ValueError, match=f'^{re.escape(message)}'):
      checks.same_architecture(pair, names)


def test_samples_of_one_shape_may_come_from_other_networks():
  pair = generators(network='dcgan', latent_size=9)
  assert checks.same_samples(pair) == (2,)
  pair = generators(image_shape=(5,))
  with pytest.raises(
    ValueError, match=r'1 makes samples \(5,\), generator 0 m'
  ):
    checks.same_samples(pair)
  with pytest.raises(ValueError, match=r'^b makes .* \(5,\), a makes \(2,\)'):
    checks.same_samples(pair, ['a', 'b'])


@pytest.mark.parametrize(
  ('shape', 'text'),
  [((2,), 'points of R^2'), ((3, 4), 'arrays (3, 4)'), ((8, 8, 1), '')],
)
def test_what_a_generator_makes_is_said_if_it_is_no_image(shape, text):
  if not text:
    checks.images_only(shape, 'a', 'b')
    return
  with pytest.raises(ValueError, match=f'^a: makes {re.escape(text)}, not im'):
    checks.images_only(shape, 'a', 'b')


def test_no_generator_shares_nothing():
  for check in (checks.same_architecture, checks.same_samples):
    with pytest.raises(ValueError, match='no generators given'):
      check([])


MIXTURE = {'of': 'dcgan', 'of_norm': 'none', 'of_width': 5, 'count': 2}


@pytest.mark.parametrize(
  ('spec', 'critic', 'options'),
  [
    (small.VECTORS, 'mlp', {'hidden': (16,)}),
    (
      generator_lib.Spec(
        'dcgan', 4, (8, 8, 1), (('norm', 'pixel'), ('width', 6))
      ),
      'dcgan',
      {'width': 6},
    ),
    (
      generator_lib.Spec(
        'mixture', 6, (8, 8, 1), generator_lib.freeze(MIXTURE)
      ),
      'dcgan',
      {'width': 5},
    ),
    (
      generator_lib.Spec(
        'mixture', 6, (8, 8, 1),
        generator_lib.freeze({**MIXTURE, 'critic': 'dcgan', 'critic_width': 3}),
      ),
      'dcgan',
      {'width': 3},
    ),
  ],
)  # fmt: skip
def test_a_critic_is_the_specs_own_or_has_the_options_of_its_generator(
  spec, critic, options
):
  described = {'ternary': {'leaves': []}}
  found = checks.with_critic(dataclasses.replace(spec, encodings=described))
  assert found == dataclasses.replace(
    spec, critic=critic, critic_options=generator_lib.freeze(options)
  )


def test_weights_are_equal_unless_they_are_given():
  np.testing.assert_array_equal(checks.check_weights(None, 4), [0.25] * 4)
  found = checks.check_weights((0.2, 0.8 + 9e-7), 2)
  assert found.dtype == np.float64
  np.testing.assert_array_equal(found, [0.2, 0.8 + 9e-7])


@pytest.mark.parametrize(
  ('weights', 'message'),
  [
    ((1.0,), '1 weights for 2 generators'),
    (((0.5, 0.5),), '2 weights for 2 generators'),
    ((-0.5, 1.5), 'must be finite, at least 0'),
    ((float('nan'), 1.0), 'must be finite, at least 0'),
    ((0.5, 0.5 + 2e-6), 'to 1.000002, not to 1'),
    ((0.5 + 0j, 0.5), 'weights: complex numbers'),
    (('a', 'b'), 'weights: not an array of numbers'),
    ((0.5, 0.4), 'sum to 0.9, not to 1'),
  ],
)
def test_weights_that_do_not_mix_are_refused(weights, message):
  with pytest.raises(ValueError, match=message):
    checks.check_weights(weights, 2)


GOOD = np.linspace(-1.0, 1.0, 24).reshape(2, 2, 3, 2)


def test_usable_samples_come_back():
  np.testing.assert_array_equal(checks.usable_samples(GOOD, 'a'), GOOD)
  for flat in (0.5 * np.ones_like(GOOD), np.ones((4, 2))):
    # A grey image, and a point that is no image, are at no bound.
    np.testing.assert_array_equal(checks.usable_samples(flat, 'a'), flat)
  one = small.generator(0, small.VECTORS)
  assert checks.usable(one, 'a') is one


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_samples_that_are_not_finite_are_counted(bad):
  samples = GOOD.copy()
  samples[1, 0, 0, 0] = bad
  with pytest.raises(ValueError, match='^a: 1 of 2 samples are not finite'):
    checks.usable_samples(samples, 'a')


@pytest.mark.parametrize('bound', [-1.0, 1.0])
def test_saturated_samples_are_refused(bound):
  with pytest.raises(ValueError, match=f'^a: every pixel .* is {bound:g};'):
    checks.usable_samples(np.full_like(GOOD, bound), 'a')


def test_no_generators_have_no_weights():
  for weights in (None, ()):
    with pytest.raises(ValueError, match='no generators'):
      checks.check_weights(weights, 0)
