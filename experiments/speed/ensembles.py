"""Many models as one program against one after another, and larger ones.

Shapes: K nodes, S seeds.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax

from coalesce_jax.gan import game as game_lib
from coalesce_jax.trials import timing
from experiments.speed import programs
from experiments.speed import shapes
from experiments.speed import steps as steps_lib


def members(
  network: shapes.Network,
  config: game_lib.Config,
  counts: tuple[int, ...],
  *,
  peers: tuple[str, ...],
  stacked: bool,
  turns: timing.Turns,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """Pretraining of S models: one vmapped program, our loop, PyTorch's loop.

  A loop of S models takes S times what one takes; one is timed, in turns with
  all ensembles.

  Args:
    network: sizes.
    config: of the game.
    counts: S of every ensemble.
    peers: that play one model after another, by name.
    stacked: whether `torch.func.vmap` plays each ensemble too.
    turns: of the timed calls.
    seed: of parameters and random numbers.
    stop: whether a stop was asked for.

  Returns:
    A row an S: seconds a step and model of the ensemble, its share of the
    product rate, ratios of one of ours, and of the peers', over it ('vmap' is
    missing where it has too little memory), and where JAX has several devices
    the same of the ensemble spread over them, as `spread`.
  """
  devices = jax.devices()
  images = programs.data(network, seed)
  single = programs.pretraining(network, config, images, seed)
  # Chunks of one length: what a call takes besides its steps is shared alike.
  chunk = turns.fitting(single.run, 2)
  multiply, operations = steps_lib.product(seed, config.precision)
  cases: dict[str, timing.Case] = {
    'product': multiply,
    'one': functools.partial(single.run, chunk),
  }
  steps = {'one': chunk}
  for count in counts:
    many = programs.pretraining(network, config, images, seed, count)
    cases[f'S{count}'] = functools.partial(many.run, chunk)
    steps |= dict.fromkeys((f'S{count}', f'spread{count}'), chunk)
    if len(devices) > 1:
      spread = programs.pretraining(
        network, config, images, seed, count, devices
      )
      cases[f'spread{count}'] = functools.partial(spread.run, chunk)
    if stacked:
      # PyTorch is an optional dependency.
      from experiments.speed import stacked as stacked_lib  # noqa: PLC0415

      case = stacked_lib.case(network, config, images, many, count, 1)
      if case is not None:
        cases[f'vmap{count}'] = case
  for name in peers:
    run = steps_lib.peer_run(network, config, images, single, name)
    steps[name] = turns.fitting(run)
    cases[name] = functools.partial(run, steps[name])
  spent = timing.interleave(cases, rounds=turns.rounds, steps=steps, stop=stop)
  operations_of_step = network.step(config.batch_size, config.critic_steps)
  share = operations_of_step / operations
  rows = []
  for count in counts:

    def against(name: str, count: int = count) -> dict[str, Any]:
      each = [s / count for s in spent[name]]
      ratios = {peer: timing.ratio(spent[peer], each) for peer in peers}
      if f'vmap{count}' in spent:
        stack = [s / count for s in spent[f'vmap{count}']]
        ratios['vmap'] = timing.ratio(stack, each)
      return {
        'seconds': timing.median(each),
        'loop_ratio': timing.ratio(spent['one'], each),
        'share_of_rate': share * timing.ratio(spent['product'], each),
        'ratios': ratios,
      }  # fmt: skip

    row: dict[str, Any] = {
      'members': count, 'width': network.width, 'precision': config.precision,
    }  # fmt: skip
    row |= against(f'S{count}')
    if f'spread{count}' in spent:
      row['spread'] = against(f'spread{count}')
    rows.append(row)
  return {'rows': rows}


def nodes(
  network: shapes.Network,
  config: game_lib.Config,
  counts: tuple[int, ...],
  *,
  seeds: int,
  turns: timing.Turns,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """The barycenter of K nodes, K critics in one program.

  Args:
    network: sizes.
    config: of the game.
    counts: K of every program.
    seeds: S, of all programs; 0 is one model without an ensemble axis.
    turns: of the timed calls.
    seed: of parameters and random numbers.
    stop: whether a stop was asked for.

  Returns:
    A row a K: seconds a step, model and critic, and the ratio to K times K = 1.
  """
  single = programs.barycenter(network, config, 1, seed, seeds)
  chunk = turns.fitting(single.run, 2)
  cases: dict[str, timing.Case] = {}
  for count in dict.fromkeys((1, *counts)):
    program = single
    if count > 1:
      program = programs.barycenter(network, config, count, seed, seeds)
    cases[f'K{count}'] = functools.partial(program.run, chunk)
  steps = dict.fromkeys(cases, chunk)
  spent = timing.interleave(cases, rounds=turns.rounds, steps=steps, stop=stop)
  rows = []
  for count in counts:
    each = [s / count for s in spent[f'K{count}']]
    rows.append(
      {
        'nodes': count,
        'width': network.width,
        'seeds': seeds,
        'seconds': timing.median(each) / max(seeds, 1),
        'cost': timing.ratio(each, spent['K1']),
      }
    )
  return {'rows': rows}


def growth(
  networks: list[shapes.Network],
  config: game_lib.Config,
  *,
  turns: timing.Turns,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """Pretraining of one model by the sizes of its network.

  Returns:
    A row a network: seconds a step, and the seconds that its operations would
    take at the rate of a large product.
  """
  cases: dict[str, timing.Case] = {}
  cases['product'], operations = steps_lib.product(seed)
  steps: dict[str, int] = {}
  for i, network in enumerate(networks):
    program = programs.pretraining(
      network, config, programs.data(network, seed), seed
    )
    steps[str(i)] = turns.fitting(program.run, 2)
    cases[str(i)] = functools.partial(program.run, steps[str(i)])
  spent = timing.interleave(cases, rounds=turns.rounds, steps=steps, stop=stop)
  rows = []
  for i, network in enumerate(networks):
    share = network.step(config.batch_size, config.critic_steps) / operations
    rows.append(
      {
        'size': network.size,
        'channels': network.channels,
        'width': network.width,
        'seconds': timing.median(spent[str(i)]),
        'product_seconds': share * timing.median(spent['product']),
      }
    )
  return {'rows': rows}
