"""A step of image translation against PyTorch, and several seeds at once.

Shapes: N images of a domain, S members.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import numpy as np

from coalesce_jax.translation import settings
from coalesce_jax.translation import training
from coalesce_jax.trials import timing
from experiments.speed import programs
from experiments.speed import steps as steps_lib
from experiments.speed import translator_shapes

# Peers by name, and how they are made.
OPTIONS_OF_PEERS: dict[str, dict[str, Any]] = {
  'eager': {},
  'channels_last': {'channels_last': True},
}
# Peers whose losses differ by more after three steps train otherwise, and are
# not timed. PyTorch 2.13 and 2.14 have wrong gradients for a ResNet whose maps
# lie with the channels last in a batch of one. Rounding alone is below .02.
LARGEST_DIFFERENCE = 0.05


def configured(case: Any, size: int, blocks: int) -> settings.Translation:
  """Returns the settings of a case: those of its method by default, but sizes.

  Images are not mirrored.

  Args:
    case: `method`, `ngf`, `ndf` and `batch_size`, see `configs/default.py`.
    size: side of the images.
    blocks: residual blocks of the ResNet.

  Raises:
    ValueError: the method is not compared, or a setting is out of range.
  """
  if case.method not in programs.TRANSLATIONS:
    raise ValueError(
      f'method {case.method!r} is not one of {list(programs.TRANSLATIONS)}'
    )
  default = settings.default(case.method)
  networks = dataclasses.replace(
    default.networks, ngf=case.ngf, ndf=case.ndf, blocks=blocks,
    downs=min(default.networks.downs, size.bit_length() - 1),
  )  # fmt: skip
  return dataclasses.replace(
    default, networks=networks, batch_size=case.batch_size, flip=False
  )


def data(size: int, seed: int, count: int = 256) -> training.Data:
  """8-bit images `[N, H, W, 3]`; what they show does not matter for time.

  All rows of a domain are one image, so that every draw is the same.
  """
  shape = (1, size, size, translator_shapes.CHANNELS)
  random = np.random.default_rng(seed)
  a, b = (random.integers(0, 256, shape, np.uint8) for _ in range(2))
  return training.Data(np.repeat(a, count, 0), np.repeat(b, count, 0), a, b)


def name(row: dict[str, Any]) -> str:
  """Returns the name of what was measured."""
  return (
    f'{row["method"]}_{row["size"]}px_w{row["ngf"]}_d{row["ndf"]}'
    f'_b{row["batch_size"]}'
  )


def measure(
  method: str,
  config: settings.Translation,
  size: int,
  *,
  peers: tuple[str, ...],
  members: int = 0,
  turns: timing.Turns,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """Seconds a step of ours and of every peer, in turns.

  Args:
    method: one of `programs.TRANSLATIONS`.
    config: settings of the method, without mirrored images.
    size: side of the images.
    peers: of `OPTIONS_OF_PEERS`; empty where PyTorch is not installed.
    members: S of an ensemble of ours that is timed too; 0 is none.
    turns: of the timed calls.
    seed: of parameters and random numbers.
    stop: whether a stop was asked for.

  Returns:
    Median seconds a step by name; ratios of the peers' over ours; the share of
    the product rate, which may exceed 1 because operations are those of direct
    convolutions, see `translator_shapes`; how far the losses of both agree,
    where peers beyond `LARGEST_DIFFERENCE` have no times; and of S members as
    one program the ratio of S times one alone over it.
  """
  images = data(size, seed)
  program = programs.translation(method, config, images, seed)
  count = turns.fitting(program.run, 2)
  steps = dict.fromkeys(('ours', 'members'), count)
  multiply, operations = steps_lib.product(seed, config.precision)
  cases: dict[str, timing.Case] = {
    'product': multiply,
    'ours': functools.partial(program.run, count),
  }
  row: dict[str, Any] = {
    'method': method, 'size': size, 'ngf': config.networks.ngf,
    'ndf': config.networks.ndf, 'batch_size': config.batch_size,
  }  # fmt: skip
  if members:
    many = programs.translation(method, config, images, seed, members)
    cases['members'] = functools.partial(many.run, count)
  if peers:
    # PyTorch is an optional dependency.
    from experiments.speed import agreement  # noqa: PLC0415

    row['agreement'] = {
      name: agreement.compare_translators(
        method, config, images, program, **OPTIONS_OF_PEERS[name]
      )
      for name in peers
    }
    peers = tuple(
      name for name in peers
      if row['agreement'][name]['difference'] <= LARGEST_DIFFERENCE
    )  # fmt: skip
    runs = {
      name: _peer_run(method, config, images, program, name) for name in peers
    }
    steps_lib.add(runs, cases, steps, turns)
  spent = timing.interleave(cases, rounds=turns.rounds, steps=steps, stop=stop)
  ours = spent['ours']
  if members:
    each = [s / members for s in spent['members']]
    row['members'] = {
      'count': members, 'loop_ratio': timing.ratio(ours, each),
    }  # fmt: skip
  of_step = translator_shapes.step(method, config, size)
  return row | {
    'operations': of_step,
    'steps': {name: steps.get(name, 1) for name in cases},
    'step_seconds': {name: timing.median(spent[name]) for name in cases},
    'rate': operations / timing.median(spent['product']),
    'share_of_rate': (
      of_step / operations * timing.ratio(spent['product'], ours)
    ),
    'ratios': {name: timing.ratio(spent[name], ours) for name in peers},
  }


def _peer_run(
  method: str,
  config: settings.Translation,
  images: training.Data,
  program: programs.Program,
  name: str,
) -> Callable[[int], None]:
  """What takes steps as the peer of that name, from the start of a program."""
  # PyTorch is an optional dependency.
  from experiments.speed import torch_arrays  # noqa: PLC0415
  from experiments.speed import translator_steps  # noqa: PLC0415

  device = torch_arrays.device()
  trainer = translator_steps.TRAINERS[method](
    config, program.state, device=device, **OPTIONS_OF_PEERS[name]
  )
  first, second = (
    torch_arrays.images(x, device) for x in (images.condition, images.target)
  )

  def run(steps: int) -> None:
    for _ in range(steps):
      a, b = translator_steps.draw(
        first, second, config.batch_size, method == 'pix2pix'
      )
      trainer.step(a, b)
    torch_arrays.wait(first.device)

  return run
