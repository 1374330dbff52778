"""Makes networks by name, so that a file can name the network it belongs to.

The options may come from files of other nodes. Each one is therefore checked
against bounds before a network is built.

Shapes: B batch, Z latent.
"""

from collections.abc import Callable, Mapping
import functools
import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.networks import dcgan
from coalesce_jax.networks import latent_transport
from coalesce_jax.networks import lipschitz
from coalesce_jax.networks import mixture
from coalesce_jax.networks import mlp
from coalesce_jax.networks import option_checks
from coalesce_jax.networks import patchgan

MAX_LATENT_SIZE = 4096
MAX_SAMPLE_SIZE = 1 << 20
MAX_NODES = 64
# Total number of transport steps for one sample of a mixture, over all nodes.
MAX_STEPS = 1000

_DCGAN_SIZES = tuple(dcgan.STAGES)


def _dcgan_generator(shape, *, width=32, norm='layer', widths=None):
  dcgan.check_images('dcgan', shape, _DCGAN_SIZES)
  norm = option_checks.choice('norm', norm, ('layer', 'pixel', 'none'))
  widths = option_checks.widths(widths, dcgan.STAGES[shape[0]][1])
  width = option_checks.width(width)
  return dcgan.Generator(shape[0], shape[2], width, norm, widths)


def _dcgan_critic(shape, *, width=32):
  dcgan.check_images('dcgan', shape, _DCGAN_SIZES)
  return dcgan.Critic(shape[0], option_checks.width(width))


def _paper_generator(shape, *, width=64, widths=None):
  dcgan.check_images('wgan_gp_mnist', shape, (28,))
  if shape[2] != 1:
    raise ValueError(f'wgan_gp_mnist makes (28, 28, 1) images, not {shape}')
  widths = option_checks.widths(widths, 3)
  return dcgan.WganGpMnistGenerator(option_checks.width(width), widths)


def _paper_critic(shape, *, width=64):
  dcgan.check_images('wgan_gp_mnist', shape, (28,))
  return dcgan.WganGpMnistCritic(option_checks.width(width))


def _mlp_generator(
  shape, *, hidden=(128, 128), activation='relu', output='linear', affine=True
):
  activation = option_checks.choice('activation', activation, mlp.ACTIVATIONS)
  output = option_checks.choice('output', output, ('linear', 'tanh'))
  if not isinstance(affine, bool):
    raise ValueError(f'affine {affine!r} is not true or false')
  return mlp.Generator(
    shape, option_checks.hidden(hidden), activation, output, affine
  )


def _mlp_critic(shape, *, hidden=(128, 128), activation='relu', centers=0):
  del shape
  activation = option_checks.choice('activation', activation, mlp.ACTIVATIONS)
  return mlp.Critic(
    option_checks.hidden(hidden),
    activation,
    option_checks.width(centers) if centers else 0,
  )


def _cones(shape, *, count=1024, scale=1.0, temperature=1.0):
  del shape
  return lipschitz.Cones(
    option_checks.width(count),
    option_checks.positive('scale', scale),
    option_checks.positive('temperature', temperature),
  )


def _envelopes(shape, *, count=256, scale=1.0, temperature=1.0):
  cones = _cones(shape, count=count, scale=scale, temperature=temperature)
  return lipschitz.Envelopes(cones.count, cones.scale, cones.temperature)


def _groupsort(shape, *, hidden=(128, 128)):
  del shape
  hidden = option_checks.hidden(hidden)
  if any(width % 2 for width in hidden):
    raise ValueError(f'hidden {hidden} of groupsort are not all even')
  return lipschitz.GroupSort(hidden)


# The name of a mixture of generators of one of the architectures below.
MIXTURE = 'mixture'
# Prefixes of a mixture's options for its nodes and for their critics.
_PREFIXES = ('of_', 'critic_')
GENERATORS: dict[str, Callable[..., nn.Module]] = {
  'dcgan': _dcgan_generator,
  'mlp': _mlp_generator,
  'wgan_gp_mnist': _paper_generator,
}
CRITICS: dict[str, Callable[..., nn.Module]] = {
  'cones': _cones,
  'dcgan': _dcgan_critic,
  'envelopes': _envelopes,
  'groupsort': _groupsort,
  'mlp': _mlp_critic,
  'patchgan': patchgan.critic,
  'wgan_gp_mnist': _paper_critic,
}


def generator(
  name: str, *, latent_size: int, data_shape: tuple[int, ...], **options: Any
) -> types.Network:
  """Returns a generator, from latents `[B, Z]` to samples `[B, *data_shape]`.

  Args:
    name: a key of `GENERATORS`, or `MIXTURE`.
    latent_size: Z.
    data_shape: shape of one sample.
    **options: options of the architecture.

  Returns:
    A network. Equal arguments give the same object, so that compiled functions
    of it are shared.

  Raises:
    ValueError: the name or an option is unknown, or a value is out of bounds.
  """
  return _generator(name, latent_size, _shape(data_shape), _freeze(options))


def critic(
  name: str, *, data_shape: tuple[int, ...], **options: Any
) -> types.Network:
  """Returns a critic, from samples `[B, *data_shape]` to scores, see `types`.

  Args:
    name: a key of `CRITICS`.
    data_shape: shape of one sample.
    **options: options of the architecture.

  Returns:
    A network. Equal arguments give the same object.

  Raises:
    ValueError: the name or an option is unknown, or a value is out of bounds.
  """
  return _critic(name, _shape(data_shape), _freeze(options))


def sides(name: str) -> tuple[int, ...]:
  """Returns the sides of the square images that a generator makes.

  Args:
    name: a key of `GENERATORS`.

  Returns:
    The sides; () for a generator of any shape.
  """
  return {'dcgan': _DCGAN_SIZES, 'wgan_gp_mnist': (28,)}.get(name, ())


def options_of(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a mixture's options for its nodes ('of') or critics ('critic')."""
  start = f'{kind}_'
  return {
    name.removeprefix(start): value
    for name, value in options.items()
    if name.startswith(start)
  }


def critic_like(
  name: str, options: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
  """Returns the name and options of the critic that matches a generator.

  For a mixture this is the critic of its transport; without a transport it is
  the critic that matches its nodes.

  Args:
    name: name of the generator.
    options: options of the generator.
  """
  if name == MIXTURE and 'critic' in options:
    return options['critic'], options_of('critic', options)
  if name == MIXTURE:
    return critic_like(options['of'], options_of('of', options))
  shared = ('width', 'hidden', 'activation')
  return name, {k: v for k, v in options.items() if k in shared}


@functools.lru_cache(maxsize=256)
def _generator(name, latent_size, shape, options):
  option_checks.whole('latent_size', latent_size, 1, MAX_LATENT_SIZE)
  if name == MIXTURE:
    return _mixture(latent_size, shape, dict(options))
  module = _module(GENERATORS, name, shape, options)
  return _network(module, (1, latent_size))


def _mixture(latent_size, shape, options):
  """Returns the mixture of `count` generators `of` with the options `of_*`.

  With a transport there are also `critic`, its options `critic_*`, and the
  transport's settings.
  """
  plain = {k: v for k, v in options.items() if not k.startswith(_PREFIXES)}
  moved = plain.keys() - {'of', 'count'}
  if moved and moved != {'critic', 'steps', 'rate', 'pull'}:
    raise ValueError(
      f'network {MIXTURE!r} takes of and count, or critic, steps, rate and '
      f'pull as well, not {sorted(plain)}'
    )
  if 'critic' not in plain and options_of('critic', options):
    raise ValueError(f'network {MIXTURE!r} has critic options but no critic')
  count = option_checks.whole('count', plain.get('count'), 1, MAX_NODES)
  inner = option_checks.whole(
    'latent_size', latent_size - count, 1, MAX_LATENT_SIZE
  )
  of = option_checks.choice('of', plain.get('of'), GENERATORS)
  module = _module(GENERATORS, of, shape, options_of('of', options))
  base = _network(module, (1, inner))
  if not moved:
    return mixture.network(base, count, inner)
  name = option_checks.choice('critic', plain['critic'], CRITICS)
  module = _module(CRITICS, name, shape, options_of('critic', options))
  steps = option_checks.whole('steps', plain['steps'], 1, MAX_STEPS // count)
  rate = option_checks.positive('rate', plain['rate'])
  pull = option_checks.not_negative('pull', plain['pull'])
  return mixture.network(
    base, count, inner, _network(module, (1, *shape)),
    latent_transport.Config(steps, rate, pull),
  )  # fmt: skip


@functools.lru_cache(maxsize=256)
def _critic(name, shape, options):
  return _network(_module(CRITICS, name, shape, options), (1, *shape))


def _module(table, name, shape, options):
  if name not in table:
    what, more = ('critic', ()) if table is CRITICS else ('network', (MIXTURE,))
    raise ValueError(
      f'{what} {str(name)[:60]!r} is not one of {sorted([*table, *more])}'
    )
  try:
    return table[name](shape, **dict(options))
  except TypeError:
    raise ValueError(
      f'network {name!r} does not take the options {sorted(dict(options))}'
    ) from None


def _network(module: nn.Module, shape: tuple[int, ...]) -> types.Network:
  def init(key: types.PRNGKey) -> types.Params:
    return module.init(key, jnp.zeros(shape))['params']

  def apply(params: types.Params, inputs: jax.Array) -> jax.Array:
    outputs: Any = module.apply({'params': params}, inputs)
    return outputs

  return types.Network(init, apply)


def _shape(shape):
  shape = tuple(shape)
  whole = all(isinstance(n, int) and n >= 1 for n in shape)
  if not 1 <= len(shape) <= 3 or not whole:
    raise ValueError(f'sample shape {shape} is not 1 to 3 positive sizes')
  if math.prod(shape) > MAX_SAMPLE_SIZE:
    raise ValueError(f'sample shape {shape} exceeds {MAX_SAMPLE_SIZE} values')
  return shape


def _freeze(options):
  return tuple(
    (k, tuple(v) if isinstance(v, list) else v)
    for k, v in sorted(options.items())
  )
