"""Many models as one program against one after another, and larger ones.

Shapes: K nodes, S seeds.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax

from coalesce_jax import game as game_lib
from experiments.speed import clock
from experiments.speed import programs
from experiments.speed import shapes
from experiments.speed import steps as steps_lib


def members(
  network: shapes.Network,
  config: game_lib.Config,
  counts: tuple[int, ...],
  *,
  peers: tuple[str, ...],
  seconds: float,
  rounds: int,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """Pretraining of S models: one vmapped program, our loop, PyTorch's loop.

  A loop of S models takes S times what one takes; one is timed, in turns with
  all ensembles.

  Returns:
    A row an S: seconds a step and model of the ensemble, ratios of one of
    ours, and of the peer's, over it, and where JAX has several devices the
    same of the ensemble spread over them, as `spread`.
  """
  devices = jax.devices()
  images = programs.data(network, seed)
  single = programs.pretraining(network, config, images, seed)
  steps = steps_lib.fitting(single, seconds)
  cases: dict[str, clock.Case] = {'one': lambda: single.run(steps)}
  for count in counts:
    many = programs.pretraining(network, config, images, seed, count)
    cases[f'S{count}'] = functools.partial(many.run, steps)
    if len(devices) > 1:
      spread = programs.pretraining(
        network, config, images, seed, count, devices
      )
      cases[f'spread{count}'] = functools.partial(spread.run, steps)
  for name in peers:
    cases[name] = steps_lib.peer_case(
      network, config, images, single, name, steps
    )
  spent = clock.interleave(cases, rounds=rounds, stop=stop)
  rows = []
  for count in counts:
    row: dict[str, Any] = {'members': count, 'width': network.width}
    row |= _against(spent, f'S{count}', count, steps, peers)
    if f'spread{count}' in spent:
      row['spread'] = _against(spent, f'spread{count}', count, steps, peers)
    rows.append(row)
  return {'rows': rows}


def _against(
  spent: dict[str, list[float]],
  name: str,
  count: int,
  steps: int,
  peers: tuple[str, ...],
) -> dict[str, Any]:
  each = [s / count for s in spent[name]]
  return {
    'seconds': clock.median(each) / steps,
    'loop_ratio': clock.ratio(spent['one'], each),
    'ratios': {peer: clock.ratio(spent[peer], each) for peer in peers},
  }


def nodes(
  network: shapes.Network,
  config: game_lib.Config,
  counts: tuple[int, ...],
  *,
  seconds: float,
  rounds: int,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """The barycenter of K nodes, K critics in one program.

  Returns:
    A row a K: seconds a step and critic, and the ratio to K times K = 1.
  """
  single = programs.barycenter(network, config, 1, seed)
  steps = steps_lib.fitting(single, seconds)
  cases: dict[str, clock.Case] = {}
  for count in dict.fromkeys((1, *counts)):
    program = single
    if count > 1:
      program = programs.barycenter(network, config, count, seed)
    cases[f'K{count}'] = functools.partial(program.run, steps)
  spent = clock.interleave(cases, rounds=rounds, stop=stop)
  rows = []
  for count in counts:
    each = [s / count for s in spent[f'K{count}']]
    rows.append(
      {
        'nodes': count,
        'width': network.width,
        'seconds': clock.median(each) / steps,
        'cost': clock.ratio(each, spent['K1']),
      }
    )
  return {'rows': rows}


def growth(
  networks: list[shapes.Network],
  config: game_lib.Config,
  *,
  seconds: float,
  rounds: int,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """Pretraining of one model by the sizes of its network.

  Returns:
    A row a network: seconds a step, and the seconds that its operations would
    take at the rate of a large product.
  """
  cases: dict[str, clock.Case] = {}
  cases['product'], operations = steps_lib.product(seed)
  counts = []
  for i, network in enumerate(networks):
    program = programs.pretraining(
      network, config, programs.data(network, seed), seed
    )
    counts.append(steps_lib.fitting(program, seconds))
    cases[str(i)] = functools.partial(program.run, counts[i])
  spent = clock.interleave(cases, rounds=rounds, stop=stop)
  rows = []
  for i, network in enumerate(networks):
    share = network.step(config.batch_size, config.critic_steps) / operations
    rows.append(
      {
        'size': network.size,
        'channels': network.channels,
        'width': network.width,
        'seconds': clock.median(spent[str(i)]) / counts[i],
        'product_seconds': share * clock.median(spent['product']),
      }
    )
  return {'rows': rows}
