"""Controls, and the layers that are not factorised."""

import jax
import pytest

from coalesce_jax.continual import controls
from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import layer_names
from coalesce_jax.transforms import piggyback

DCGAN = generator_lib.Spec(
  'dcgan', 4, (8, 8, 1), generator_lib.freeze({'width': 6, 'norm': 'none'})
)


def counted(width):
  """A projection to 2 x 2 pixels, two transposed convolutions; biases."""
  wide = 2 * width
  return 4 * 4 * wide + wide + 16 * wide * width + width + 16 * width + 1


def test_a_narrower_network_has_at_most_so_many_parameters():
  assert controls.count(DCGAN) == counted(6)
  for limit, width in (
    (counted(6), 6), (counted(6) - 1, 5), (counted(3) + 1, 3), (10**6, 6),
  ):  # fmt: skip
    found = controls.narrower(DCGAN, limit)
    assert dict(found.options) == {'width': width, 'norm': 'none'}
  with pytest.raises(ValueError, match='more than 5'):
    controls.narrower(DCGAN, 5)
  plain = generator_lib.Spec('mlp', 4, (2,))
  with pytest.raises(ValueError, match='no option width'):
    controls.narrower(plain, 5)
  widths = generator_lib.freeze({'width': 6, 'widths': (12, 6)})
  sliced = generator_lib.Spec('dcgan', 4, (8, 8, 1), widths)
  with pytest.raises(ValueError, match='widths of single layers'):
    controls.narrower(sliced, 10**6)


@pytest.mark.parametrize(
  ('network', 'options', 'inner'),
  [
    ('dcgan', {'width': 2}, {'project/kernel', 'up_1/kernel'}),
    ('mlp', {'hidden': (3, 4)}, {'dense_1/kernel'}),
    ('unet', {'width': 1, 'downs': 2}, {'down_1/kernel', 'up_1/conv/kernel'}),
    (
      'resnet',
      {'width': 1, 'blocks': 1},
      {
        'block_0_conv_0/kernel', 'block_0_conv_1/kernel', 'down_0/kernel',
        'down_1/kernel', 'up_0/conv/kernel', 'up_1/conv/kernel',
      },
    ),
  ],
)  # fmt: skip
def test_kernels_but_those_of_the_ends_are_factorised(network, options, inner):
  condition = (8, 8, 1) if network in ('unet', 'resnet') else None
  spec = generator_lib.Spec(
    network, 0 if condition else 4, (8, 8, 1), generator_lib.freeze(options),
    condition_shape=condition,
  )  # fmt: skip
  shapes = jax.eval_shape(spec.build().init, jax.random.key(0))
  rules = ((layer_names.inner_kernels(network), 0.5),)
  assert piggyback.factorised(shapes, rules).keys() == inner
  both = {'ab': shapes, 'ba': shapes}
  assert piggyback.factorised(both, rules).keys() == {
    f'{way}/{name}' for way in both for name in inner
  }
  last = layer_names.ENDS[network][-1]
  frozen = ((layer_names.all_but_the_last(network), 'frozen'),)
  for tree in (shapes, both):
    for name, label in trees.flatten(trees.label(tree, frozen, 'on')).items():
      assert (label == 'on') == (f'/{last}/' in f'/{name}')
