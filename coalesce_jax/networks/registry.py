"""Networks by name, so that a file can say which one its parameters fit.

Options come from files of other nodes: every one is checked against bounds
before anything is built.
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

MAX_LATENT_SIZE = 4096
MAX_WIDTH = 4096
MAX_LAYERS = 16
MAX_SAMPLE_SIZE = 1 << 20
MAX_SCALE = 1e6
MAX_NODES = 64
# Of the transports of a sample by all nodes together.
MAX_STEPS = 1000

_DCGAN_SIZES = tuple(dcgan.STAGES)


def _whole(name: str, value: Any, least: int, most: int) -> int:
  if isinstance(value, bool) or not isinstance(value, int):
    raise ValueError(f'{name} {value!r} is not a whole number')
  if not least <= value <= most:
    raise ValueError(f'{name} {value} is not in [{least}, {most}]')
  return value


def _width(value: Any) -> int:
  return _whole('width', value, 1, MAX_WIDTH)


def _hidden(value: Any) -> tuple[int, ...]:
  if not isinstance(value, tuple | list) or len(value) > MAX_LAYERS:
    raise ValueError(f'hidden {value!r} is not a list of <= {MAX_LAYERS} sizes')
  return tuple(_width(v) for v in value)


def _positive(name: str, value: Any) -> float:
  if isinstance(value, bool) or not isinstance(value, int | float):
    raise ValueError(f'{name} {value!r} is not a number')
  if not 0.0 < value <= MAX_SCALE:
    raise ValueError(f'{name} {value} is not in (0, {MAX_SCALE:g}]')
  return float(value)


def _not_negative(name: str, value: Any) -> float:
  if not isinstance(value, bool) and value == 0:
    return 0.0
  return _positive(name, value)


def _choice(name: str, value: Any, choices: Any) -> str:
  if not isinstance(value, str) or value not in choices:
    raise ValueError(f'{name} {value!r} is not one of {sorted(choices)}')
  return value


def _dcgan_generator(shape, *, width=32, norm='layer'):
  dcgan.check_images('dcgan', shape, _DCGAN_SIZES)
  norm = _choice('norm', norm, ('layer', 'pixel', 'none'))
  return dcgan.Generator(shape[0], shape[2], _width(width), norm)


def _dcgan_critic(shape, *, width=32):
  dcgan.check_images('dcgan', shape, _DCGAN_SIZES)
  return dcgan.Critic(shape[0], _width(width))


def _paper_generator(shape, *, width=64):
  dcgan.check_images('wgan_gp_mnist', shape, (28,))
  if shape[2] != 1:
    raise ValueError(f'wgan_gp_mnist makes (28, 28, 1) images, not {shape}')
  return dcgan.WganGpMnistGenerator(_width(width))


def _paper_critic(shape, *, width=64):
  dcgan.check_images('wgan_gp_mnist', shape, (28,))
  return dcgan.WganGpMnistCritic(_width(width))


def _mlp_generator(
  shape,
  *,
  hidden=(128, 128),
  activation='relu',
  output='linear',
  affine=True,
):
  activation = _choice('activation', activation, mlp.ACTIVATIONS)
  output = _choice('output', output, ('linear', 'tanh'))
  if not isinstance(affine, bool):
    raise ValueError(f'affine {affine!r} is not true or false')
  return mlp.Generator(shape, _hidden(hidden), activation, output, affine)


def _mlp_critic(shape, *, hidden=(128, 128), activation='relu', centers=0):
  del shape
  activation = _choice('activation', activation, mlp.ACTIVATIONS)
  return mlp.Critic(
    _hidden(hidden), activation, _width(centers) if centers else 0
  )


def _cones(shape, *, count=1024, scale=1.0, temperature=1.0):
  del shape
  return lipschitz.Cones(
    _width(count),
    _positive('scale', scale),
    _positive('temperature', temperature),
  )


def _envelopes(shape, *, count=256, scale=1.0, temperature=1.0):
  cones = _cones(shape, count=count, scale=scale, temperature=temperature)
  return lipschitz.Envelopes(cones.count, cones.scale, cones.temperature)


def _groupsort(shape, *, hidden=(128, 128)):
  del shape
  hidden = _hidden(hidden)
  if any(width % 2 for width in hidden):
    raise ValueError(f'hidden {hidden} of groupsort are not all even')
  return lipschitz.GroupSort(hidden)


# Of any of the generators below.
MIXTURE = 'mixture'
# Prefixes of what a mixture says of its nodes and their critics.
_PARTS = ('of_', 'critic_')
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
  'wgan_gp_mnist': _paper_critic,
}


def generator(
  name: str, *, latent_size: int, data_shape: tuple[int, ...], **options: Any
) -> types.Network:
  """A generator: latents `[B, Z]` -> samples `[B, *data_shape]`.

  Args:
    name: key of `GENERATORS`.
    latent_size: Z.
    data_shape: shape of one sample.
    **options: of that architecture.

  Returns:
    The same `Network` for the same arguments, so that compiled functions of
    its `apply` are shared.

  Raises:
    ValueError: unknown name or option, or a value out of bounds.
  """
  return _generator(name, latent_size, _shape(data_shape), _freeze(options))


def critic(
  name: str, *, data_shape: tuple[int, ...], **options: Any
) -> types.Network:
  """A critic: samples `[B, *data_shape]` -> scores `[B]`; see `generator`."""
  return _critic(name, _shape(data_shape), _freeze(options))


def options_of(part: str, options: Mapping[str, Any]) -> dict[str, Any]:
  """Of a mixture's options those of its nodes, 'of', or critics, 'critic'."""
  start = f'{part}_'
  return {
    name.removeprefix(start): value
    for name, value in options.items()
    if name.startswith(start)
  }


def critic_like(
  name: str, options: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
  """The critic that goes with a generator, and its options.

  Of a mixture that is the one that moves its samples, or that of its nodes.
  """
  if name == MIXTURE and 'critic' in options:
    return options['critic'], options_of('critic', options)
  if name == MIXTURE:
    return critic_like(options['of'], options_of('of', options))
  shared = ('width', 'hidden', 'activation')
  return name, {k: v for k, v in options.items() if k in shared}


@functools.lru_cache(maxsize=256)
def _generator(name, latent_size, shape, options):
  _whole('latent_size', latent_size, 1, MAX_LATENT_SIZE)
  if name == MIXTURE:
    return _mixture(latent_size, shape, dict(options))
  module = _module(GENERATORS, name, shape, options)
  return _network(module, (1, latent_size))


def _mixture(latent_size, shape, options):
  """`of` and `count` generators, `of_*` their options; `critic`, `critic_*` and
  the transport's settings where there is one.
  """
  plain = {k: v for k, v in options.items() if not k.startswith(_PARTS)}
  moved = plain.keys() - {'of', 'count'}
  if moved and moved != {'critic', 'steps', 'rate', 'pull'}:
    raise ValueError(
      f'network {MIXTURE!r} takes of and count, or critic, steps, rate and '
      f'pull as well, not {sorted(plain)}'
    )
  if 'critic' not in plain and options_of('critic', options):
    raise ValueError(f'network {MIXTURE!r} has options of no critic')
  count = _whole('count', plain.get('count'), 1, MAX_NODES)
  inner = _whole('latent_size', latent_size - count, 1, MAX_LATENT_SIZE)
  of = _choice('of', plain.get('of'), GENERATORS)
  module = _module(GENERATORS, of, shape, options_of('of', options))
  base = _network(module, (1, inner))
  if not moved:
    return mixture.network(base, count, inner)
  name = _choice('critic', plain['critic'], CRITICS)
  module = _module(CRITICS, name, shape, options_of('critic', options))
  steps = _whole('steps', plain['steps'], 1, MAX_STEPS // count)
  rate = _positive('rate', plain['rate'])
  pull = _not_negative('pull', plain['pull'])
  return mixture.network(
    base, count, inner, _network(module, (1, *shape)),
    latent_transport.Config(steps, rate, pull),
  )  # fmt: skip


@functools.lru_cache(maxsize=256)
def _critic(name, shape, options):
  return _network(_module(CRITICS, name, shape, options), (1, *shape))


def _module(table, name, shape, options):
  if name not in table:
    raise ValueError(f'network {name!r} is not one of {sorted(table)}')
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
