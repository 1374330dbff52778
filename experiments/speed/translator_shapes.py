"""Operations of a step of image translation, counted from shapes.

Networks, critics and steps are those of pix2pix and of CycleGAN with images of
one size and three channels. As in `shapes`, a product of `[m, k]` by `[k, n]`
counts `2 m k n` operations, and only products are counted. A convolution counts
its kernel once for each output pixel, a transposed one once for each input
pixel. These are the products of the direct form: ours takes fewer
multiplications, by the algorithms of `coalesce_jax.ops.winograd` and
`coalesce_jax.ops.toom_cook`.

Shapes: B batch.
"""

from coalesce_jax.translation import settings

CHANNELS = 3
# Widths grow up to this multiple.
WIDEST = 8
KERNEL = 4


def step(method: str, config: settings.Translation, size: int) -> int:
  """Returns the operations of one step.

  A layer has one product forward, one for the gradient in its kernel and one
  for the gradient in its input. The last is not needed where a network reads
  data. Critics see fakes and real images for their own update, where all
  gradients in kernels are needed, and fakes for the generator's, where only
  those in inputs are.

  Args:
    method: 'pix2pix' or 'cyclegan'.
    config: settings of the method.
    size: side of the images.
  """
  paired = method == 'pix2pix'
  made = generator(config.networks, size)
  scored = critic(config.networks, size, 2 * CHANNELS if paired else CHANNELS)
  of_critic = 2 * (3 * sum(scored) - scored[0]) + 2 * sum(scored)
  # From images, and from translated images.
  of_images, of_fakes = 3 * sum(made) - made[0], 3 * sum(made)
  if paired:
    return config.batch_size * (of_critic + of_images)
  identity = bool(getattr(config, 'lambda_identity', 0.0))
  one_way = of_critic + (1 + identity) * of_images + of_fakes
  return config.batch_size * 2 * one_way


def generator(networks: settings.Networks, size: int) -> list[int]:
  """Returns the operations of each layer for one image, forward."""
  if networks.net_g == 'unet':
    return unet(networks.ngf, networks.downs, size)
  return resnet(networks.ngf, networks.blocks, size)


def unet(width: int, downs: int, size: int) -> list[int]:
  """Returns the operations of each layer of the U-Net for one image.

  Args:
    width: channels of the first map.
    downs: number of halvings.
    size: side of the image, a multiple of ``2 ** downs``.
  """
  features = widths(width, downs)
  sides = [size // 2 ** (i + 1) for i in range(downs)]
  down = [
    _products(side, KERNEL, before, after)
    for side, before, after in zip(
      sides, [CHANNELS, *features[:-1]], features, strict=True
    )
  ]
  up = [
    _products(sides[i], KERNEL, joined, features[i - 1] if i else CHANNELS)
    for i, joined in reversed(list(enumerate(joined_widths(features))))
  ]
  return down + up


def resnet(width: int, blocks: int, size: int) -> list[int]:
  """Returns the operations of each layer of the ResNet for one image.

  Args:
    width: channels of the first map.
    blocks: number of residual blocks.
    size: side of the image, a multiple of 4.
  """
  half, quarter = size // 2, size // 4
  return [
    _products(size, 7, CHANNELS, width),
    _products(half, 3, width, 2 * width),
    _products(quarter, 3, 2 * width, 4 * width),
    *[_products(quarter, 3, 4 * width, 4 * width)] * (2 * blocks),
    _products(quarter, 3, 4 * width, 2 * width),
    _products(half, 3, 2 * width, width),
    _products(size, 7, width, CHANNELS),
  ]


def critic(networks: settings.Networks, size: int, channels: int) -> list[int]:
  """Returns the operations of each layer of the PatchGAN for one image."""
  layers, side = [], size
  features = widths(networks.ndf, networks.n_layers_d + 1)
  for i, after in enumerate(features):
    side = side // 2 if i < networks.n_layers_d else side - 1
    layers.append(_products(side, KERNEL, channels, after))
    channels = after
  return [*layers, _products(side - 1, KERNEL, channels, 1)]


def widths(width: int, count: int) -> list[int]:
  """Returns the channels of the maps of the U-Net or the PatchGAN."""
  return [width * min(2**i, WIDEST) for i in range(count)]


def joined_widths(features: list[int]) -> list[int]:
  """Returns the channels that each layer on the U-Net's way up reads."""
  return [2 * n for n in features[:-1]] + features[-1:]


def _products(side: int, kernel: int, before: int, after: int) -> int:
  return 2 * side**2 * kernel**2 * before * after
