"""Prepares pairs and trains translators: what all methods share.

Shapes: N, M images, H, W, C condition, D channels of the target, S seeds,
B batch.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.data import pairs as pairs_lib
from coalesce_jax.data import pixels
from coalesce_jax.data import samples
from coalesce_jax.methods import problems
from coalesce_jax.methods import runner
from coalesce_jax.metrics import energy
from coalesce_jax.metrics import image_scores
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.networks import registry
from coalesce_jax.networks import translators
from coalesce_jax.translation import settings

# Images that a validation score takes, and those that are translated at once.
VALIDATED = 128
_AT_ONCE = 16


class Data(NamedTuple):
  """The images of a task, uint8 or float32 in [-1, 1].

  Attributes:
    condition: `[N, H, W, C]`, for training.
    target: `[M, H, W, D]`, for training; N = M where pairs are needed.
    held_condition: `[n, ...]`, for the validation score.
    held_target: `[m, ...]`.
  """

  condition: Any
  target: Any
  held_condition: Any
  held_target: Any


def data(pairs: Any, crop: tuple[int, int] | None, paired: bool) -> Data:
  """Checks images and splits off a tenth for validation where none is given.

  Args:
    pairs: what `data.pairs.load` returns, (for training, held out); or only
      pairs for training: an object with the arrays `condition` and `target`, or
      a mapping with these names.
    crop: (H, W) of the crops.
    paired: whether row k of both arrays must belong together.

  Raises:
    ValueError: images are missing, of an unlike size, ambiguous or not finite,
      or pairs are needed and there are none.
  """
  many = isinstance(pairs, tuple | list) and not hasattr(pairs, 'condition')
  if many and len(pairs) != 2:
    raise ValueError(
      f'{len(pairs)} splits of pairs given; pass those for training, or both '
      'splits of data.pairs.load'
    )
  train, held = pairs if many else (pairs, None)
  first = _images(train, paired, 'training')
  if held is None:
    sizes = [max(1, len(images) // 10) for images in first]
    if paired:
      sizes = [min(sizes)] * 2
    if min(map(len, first)) < 2:
      raise ValueError('at least 2 images are needed in each domain')
    second = [a[-n:] for a, n in zip(first, sizes, strict=True)]
    first = [a[:-n] for a, n in zip(first, sizes, strict=True)]
  else:
    second = _images(held, paired, 'held out')
  for name, a, b in zip(('condition', 'target'), first, second, strict=True):
    if a.shape[-1] != b.shape[-1]:
      raise ValueError(
        f'{name}: {a.shape[-1]} channels for training, {b.shape[-1]} held out'
      )
    for images in (a, b):
      if crop is not None and any(
        c > n for c, n in zip(crop, images.shape[1:3], strict=True)
      ):
        raise ValueError(
          f'{name}: images {images.shape[1:3]} are smaller than crop_size '
          f'{crop}'
        )
  return Data(*first, *(images[:VALIDATED] for images in second))


def _images(split: Any, paired: bool, name: str) -> list[np.ndarray]:
  found = []
  loaded = isinstance(split, pairs_lib.Pairs)
  if loaded:
    name = f'{split.task}, {name}'
  for field in ('condition', 'target'):
    if isinstance(split, dict):
      images = split.get(field)
    else:
      images = getattr(split, field, None)
    if images is None:
      raise ValueError(f'{name}: no array {field!r}')
    shape = np.shape(images)
    if len(shape) != 4 or not shape[0]:
      raise ValueError(f'{name}: {field} {shape} is not [N, H, W, C], N >= 1')
    array = samples.array(images, shape[1:], f'{name}: {field}')
    found.append(
      samples.checked(array, shape[1:], f'{name}: {field}', in_range=loaded)
    )
  if not paired:
    return found
  if not getattr(split, 'paired', True):
    raise ValueError(
      f'{name}: these images are not paired, which pix2pix needs; CycleGAN and '
      'CUT do not'
    )
  if found[0].shape[:3] != found[1].shape[:3]:
    raise ValueError(
      f'{name}: conditions {found[0].shape[:3]} and targets '
      f'{found[1].shape[:3]} are not pairs of one size'
    )
  return found


def spec(
  networks: settings.Networks, size: Sequence[int], channels: tuple[int, int]
) -> generator_lib.Spec:
  """Returns the spec of a translator.

  Args:
    networks: architectures.
    size: (H, W) of images in training.
    channels: of condition and target.
  """
  return generator_lib.Spec(
    network=networks.net_g,
    latent_size=0,
    image_shape=(*size, channels[1]),
    condition_shape=(*size, channels[0]),
    options=generator_lib.freeze(networks.generator_options()),
  )


def critic(
  networks: settings.Networks, size: Sequence[int], channels: int
) -> types.Network:
  """Returns the PatchGAN critic of images `[B, *size, channels]`."""
  return registry.critic(
    'patchgan', data_shape=(*size, channels), **networks.critic_options()
  )


def problem(
  setup: Callable[..., runner.Setup],
  images: Data,
  config: settings.Translation,
  *,
  size: Sequence[int],
  hyper: dict[str, Any] | None = None,
  score: Callable[[types.Params, Data], jax.Array] | None = None,
  **method: Any,
) -> problems.Problem:
  """Returns the game of a method before it is trained.

  Args:
    setup: ``(key, hyper, images) -> Setup``.
    images: the task; all seeds have the same.
    config: settings.
    size: (H, W) of images in training.
    hyper: see `runner.run`.
    score: ``(parameters, images) -> []``, lower is better.
    **method: fields of `runner.Method`.
  """
  schedule = config.schedule
  if schedule.select_every > schedule.steps:
    schedule = dataclasses.replace(schedule, select_every=0)
  return problems.Problem(
    setup,
    (images,),
    runner.Method(
      config=config.game(),
      schedule=schedule,
      latent_size=0,
      image_shape=(*size, images.target.shape[-1]),
      **method,
    ),
    hyper=hyper or {},
    score=score if schedule.select_every else None,
  )


def translate(
  network: types.Network,
  params: types.Params,
  images: jax.Array,
  options: Mapping[str, Any],
) -> jax.Array:
  """Translates images in batches within a compiled function.

  Args:
    network: a translator.
    params: its parameters.
    images: `[N, H, W, C]`, uint8 or in [-1, 1].
    options: those of the network in the registry. The norm says how many images
      may be translated at once.

  Returns:
    `[N, H, W, D]`, those of `models.translator`.
  """
  n = len(images)
  size = min(n, translators.at_once(options, _AT_ONCE))
  count = -(-n // size)
  index = jnp.arange(count * size).reshape(count, size) % n
  done = jax.lax.map(
    lambda rows: network.apply(params, pixels.decode(images[rows])), index
  )
  return done.reshape(-1, *done.shape[2:])[:n]


def l1(
  network: types.Network,
  params: types.Params,
  images: Data,
  options: Mapping[str, Any],
) -> jax.Array:
  """Returns the mean absolute difference to held-out targets."""
  made = translate(network, params, images.held_condition, options)
  return jnp.mean(image_scores.l1(made, images.held_target))


def domain_distance(made: jax.Array, real: jax.Array) -> jax.Array:
  """Returns the energy distance between pixels of two sets of images.

  It needs no pairs. Images are averaged over blocks of 4 x 4 pixels first, and
  cropped to the size that both have.
  """
  side = [
    4 * max(1, min(a, b) // 4)
    for a, b in zip(made.shape[1:3], real.shape[1:3], strict=True)
  ]

  def small(x: jax.Array) -> jax.Array:
    x = pixels.decode(x)[:, : side[0], : side[1]]
    high, wide = x.shape[1] // 4, x.shape[2] // 4
    if not high or not wide:
      return x
    return x.reshape(len(x), high, 4, wide, 4, -1).mean((2, 4))

  return energy.energy_distance(small(real), small(made))


def result(
  spec: generator_lib.Spec, params: types.Params
) -> translator_lib.Translator:
  """Returns the trained translator."""
  return translator_lib.Translator(spec.build(), params, spec)
