"""Names the first and last layers of networks, which some methods leave whole.

It needs no JAX.
"""

# First and last layers of each network. The projection of latents is not named:
# it has whole maps as filters, and most parameters of a small generator.
ENDS = {
  'dcgan': ('out',),
  'mlp': ('dense_0', 'affine', 'out'),
  'resnet': ('stem', 'out'),
  'unet': ('down_0', 'up_0'),
  'wgan_gp_mnist': ('out',),
}
# The directions of a CycleGAN, which precede the names of its layers.
_BEFORE = '(?:(?:ab|ba)/)?'


def inner_kernels(network: str) -> str:
  """Returns the pattern of all kernels but those of the first and last layers.

  Args:
    network: registered name of the network.

  Raises:
    ValueError: the first and last layers of the network are not known.
  """
  names = '|'.join(_ends(network))
  return rf'(?!{_BEFORE}(?:{names})/).*kernel'


def all_but_the_last(network: str) -> str:
  """Returns the pattern of all leaves but those of the last layer.

  Args:
    network: registered name of the network.

  Raises:
    ValueError: the first and last layers of the network are not known.
  """
  return rf'(?!{_BEFORE}{_ends(network)[-1]}/).*'


def _ends(network: str) -> tuple[str, ...]:
  if network not in ENDS:
    raise ValueError(
      f'network {network!r}: first and last layers are known only of '
      f'{sorted(ENDS)}'
    )
  return ENDS[network]
