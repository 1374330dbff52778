"""The translation networks by XLA's convolutions, with channels last."""

from jax import lax
import jax.numpy as jnp
import numpy as np

NAMES = ('NHWC', 'HWIO', 'NHWC')


def conv(leaf, x, stride=1, padding=0):
  y = lax.conv_general_dilated(
    x, leaf['kernel'], (stride, stride), ((padding, padding),) * 2,
    dimension_numbers=NAMES,
  )  # fmt: skip
  return y + leaf.get('bias', 0.0)


def transposed(leaf, x):
  """Doubles the size: the image with zeros between its pixels, convolved."""
  kernel = leaf['kernel'][::-1, ::-1]
  # Torch pads by 1, and a kernel of 3 has an output padding of 1.
  low, high = (1, 2) if len(kernel) == 3 else (2, 2)
  y = lax.conv_general_dilated(
    x, kernel, (1, 1), ((low, high),) * 2, lhs_dilation=(2, 2),
    dimension_numbers=NAMES,
  )  # fmt: skip
  return y + leaf.get('bias', 0.0)


def resized(leaf, x):
  """Nearest neighbours, then a convolution."""
  return conv(leaf, x.repeat(2, 1).repeat(2, 2), 1, 1)


def norm(kind, params, name, x):
  if kind == 'none':
    return x
  leaf = params[name]
  shape = x.shape
  if kind == 'group':
    x = x.reshape(*shape[:3], -1, np.gcd(16, shape[3]))
  axes = {'layer': (1, 2, 3), 'batch': (0, 1, 2), 'group': (1, 2, 4)}.get(
    kind, (1, 2)
  )
  x = (x - x.mean(axes, keepdims=True)) / jnp.sqrt(
    x.var(axes, keepdims=True) + 1e-5
  )
  return x.reshape(shape) * leaf['scale'] + leaf['shift']


def reflected(x, edge):
  return jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)), 'reflect')


def relu(x):
  return jnp.maximum(x, 0.0)


def steep(x):
  return jnp.where(x > 0, x, 0.2 * x)


def up(params, name, x):
  """Which of the two it is shows in the names of its parameters."""
  if 'conv' in params[name]:
    return transposed(params[name]['conv'], x)
  return resized(params[name], x)


def unet(params, x, kind='instance'):
  """The U-Net as blocks that hold each other, as torch's is built."""
  count = sum(name.startswith('down_') for name in params)
  count -= sum(name.startswith('down_norm') for name in params)

  def block(x, i):
    y = conv(params[f'down_{i}'], steep(x) if i else x, 2, 1)
    if 0 < i < count - 1:
      y = norm(kind, params, f'down_norm_{i}', y)
    if i < count - 1:
      y = block(y, i + 1)
    y = up(params, f'up_{i}', relu(y))
    if i == 0:
      return jnp.tanh(y)
    return jnp.concatenate([x, norm(kind, params, f'up_norm_{i}', y)], -1)

  return block(x, 0)


def resnet(params, x, kind='instance', numbers=None):
  features = {0: x}
  x = conv(params['stem'], reflected(x, 3))
  x = relu(norm(kind, params, 'stem_norm', x))
  for i in (0, 1):
    x = features[4 * (i + 1)] = conv(params[f'down_{i}'], x, 2, 1)
    x = relu(norm(kind, params, f'down_norm_{i}', x))
  for i in range(sum(n.endswith('conv_0') for n in params)):
    y = conv(params[f'block_{i}_conv_0'], reflected(x, 1))
    y = relu(norm(kind, params, f'block_{i}_norm_0', y))
    y = conv(params[f'block_{i}_conv_1'], reflected(y, 1))
    x = x + norm(kind, params, f'block_{i}_norm_1', y)
    features[12 + i] = x
  if numbers is not None:
    return [features[n] for n in numbers]
  for i in (0, 1):
    x = relu(norm(kind, params, f'up_norm_{i}', up(params, f'up_{i}', x)))
  return jnp.tanh(conv(params['out'], reflected(x, 3)))


def patchgan(params, x, kind='instance'):
  count = sum(name.startswith('conv_') for name in params)
  for i in range(count):
    x = conv(params[f'conv_{i}'], x, 2 if i < count - 1 else 1, 1)
    if i:
      x = norm(kind, params, f'norm_{i}', x)
    x = steep(x)
  return conv(params['head'], x, 1, 1)[..., 0]
