"""One model's step against PyTorch and against the machine's product rate."""

from collections.abc import Callable
import dataclasses
import functools
import importlib.util
from typing import Any

import jax
import numpy as np

from coalesce_jax.gan import game as game_lib
from coalesce_jax.ops import precision as precision_lib
from coalesce_jax.trials import timing
from experiments.speed import programs
from experiments.speed import shapes

# Sides of the square products whose rate is the machine's.
SIDE = {'cpu': 2048}
LARGE_SIDE = 8192


def product(
  seed: int, precision: str = 'float32'
) -> tuple[Callable[[], Any], int]:
  """A large product by the same compiler, and its operations."""
  side = SIDE.get(jax.default_backend(), LARGE_SIDE)
  key_a, key_b = jax.random.split(jax.random.key(seed))
  a = jax.random.normal(key_a, (side, side))
  b = jax.random.normal(key_b, (side, side))
  with precision_lib.use(precision):
    multiply = jax.jit(lambda a, b: precision_lib.dot(a, b, 1, 0))
    jax.block_until_ready(multiply(a, b))
  return lambda: jax.block_until_ready(multiply(a, b)), 2 * side**3


def precisions() -> tuple[str, ...]:
  """Those that differ here: only accelerators have tensorfloat32."""
  skip = ('tensorfloat32',) if jax.default_backend() == 'cpu' else ()
  return tuple(name for name in precision_lib.NAMES if name not in skip)


def measure(
  network: shapes.Network,
  config: game_lib.Config,
  *,
  peers: tuple[str, ...],
  others: tuple[str, ...] = (),
  spread: bool = False,
  turns: timing.Turns,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """Seconds a step of ours and of every peer, in turns.

  Every call takes about as long, whatever plays, and ours is a chunk of as many
  steps as that makes, at least two: a scan of one is none.

  Args:
    network: sizes.
    config: of the game.
    peers: of `OPTIONS_OF_PEERS`; empty where PyTorch is not installed. Those in
      another precision play where that is one of `others`.
    others: precisions in which ours plays too.
    spread: whether ours spreads its batch over JAX's devices too, if there are
      several.
    turns: of the timed calls.
    seed: of parameters and random numbers.
    stop: whether a stop was asked for.

  Returns:
    Median seconds a step by name; ratios of the peers' over ours, of those in
    another precision over ours in it; the share of the product rate; the ratio
    of a scanned chunk over single steps; ours over ours in other precisions;
    how far the losses of both agree; and the same of ours with its batch spread
    over devices, as 'spread'.
  """
  peers = tuple(
    p for p in peers if PRECISION_OF.get(p, 'float32') in ('float32', *others)
  )
  images = programs.data(network, seed)
  program = programs.pretraining(network, config, images, seed)
  count = turns.fitting(program.run, 2)
  steps = dict.fromkeys(('ours', 'unrolled', 'spread', *others), count)
  multiply, operations = product(seed)
  cases: dict[str, timing.Case] = {
    'product': multiply,
    'ours': lambda: program.run(count),
    'unrolled': _unrolled(program, count),
  }
  for name in others:
    low = programs.pretraining(
      network, dataclasses.replace(config, precision=name), images, seed
    )
    cases[name] = functools.partial(low.run, count)
  row: dict[str, Any] = {
    'width': network.width, 'size': network.size, 'channels': network.channels,
    'batch_size': config.batch_size, 'critic_steps': config.critic_steps,
  }  # fmt: skip
  devices = jax.devices()
  if spread and len(devices) > 1:
    shared = programs.pretraining(
      network, config, images, seed, devices=devices
    )
    cases['spread'] = functools.partial(shared.run, count)
  if peers:
    # PyTorch is an optional dependency.
    from experiments.speed import agreement  # noqa: PLC0415

    row['agreement'] = {
      name: agreement.compare(
        network, config, images, seed, **OPTIONS_OF_PEERS[name]
      )
      for name in peers
    }
    runs = {
      name: peer_run(network, config, images, program, name) for name in peers
    }
    add(runs, cases, steps, turns)
  spent = timing.interleave(cases, rounds=turns.rounds, steps=steps, stop=stop)
  ours = spent['ours']
  operations_of_step = network.step(config.batch_size, config.critic_steps)
  share = operations_of_step / operations
  if 'spread' in cases:
    row['spread'] = _ratios(
      spent, 'spread', ('ours', *[p for p in peers if p not in PRECISION_OF])
    ) | {
      'devices': len(devices),
      'share_of_rate': share * timing.ratio(spent['product'], spent['spread']),
    }
  return row | {
    'operations': operations_of_step,
    'steps': {name: steps.get(name, 1) for name in cases},
    'step_seconds': {name: timing.median(spent[name]) for name in cases},
    'rate': operations / timing.median(spent['product']),
    'share_of_rate': share * timing.ratio(spent['product'], ours),
    'scan_over_unrolled': timing.ratio(ours, spent['unrolled']),
    **{name: timing.ratio(ours, spent[name]) for name in others},
    'ratios': _ratios(spent, 'ours', peers),
  }


def add(
  runs: dict[str, Callable[[int], None]],
  cases: dict[str, timing.Case],
  steps: dict[str, int],
  turns: timing.Turns,
) -> None:
  """Adds cases of as many steps as fit a timed call.

  Args:
    runs: what takes steps, by name.
    cases: of `timing.interleave`; changed.
    steps: in a call of each case; changed.
    turns: of the timed calls.
  """
  for name, run in runs.items():
    steps[name] = turns.fitting(run)
    cases[name] = functools.partial(run, steps[name])


def _ratios(
  spent: dict[str, list[float]], name: str, others: tuple[str, ...]
) -> dict[str, float]:
  """Times of others over that of a case, or over ours in their precision."""
  return {
    other: timing.ratio(spent[other], spent[PRECISION_OF.get(other, name)])
    for other in others
  }


def available(peers: Any, known: Any = None) -> tuple[str, ...]:
  """The peers that can be played here, checked against those that are known.

  Args:
    peers: by name.
    known: names; None are those of `OPTIONS_OF_PEERS`.

  Raises:
    ValueError: an unknown one.
  """
  known = list(OPTIONS_OF_PEERS if known is None else known)
  unknown = sorted(set(peers) - set(known))
  if unknown:
    raise ValueError(f'peers {unknown} are not among {known}')
  if not importlib.util.find_spec('torch'):
    return ()
  rounded = [p for p in peers if PRECISION_OF.get(p, 'float32') in precisions()]
  return tuple(p for p in peers if p not in PRECISION_OF or p in rounded)


def _unrolled(program: programs.Program, steps: int) -> timing.Case:
  """The same steps, one call of the compiled program each."""

  def run() -> None:
    state = program.state
    for _ in range(steps):
      state, _, _ = program.chunk(state, program.inputs, program.key, 1)
    jax.block_until_ready(state)

  return run


def peer_run(
  network: shapes.Network,
  config: game_lib.Config,
  images: np.ndarray,
  program: programs.Program,
  name: str,
) -> Callable[[int], None]:
  """What plays steps as the peer of that name, from the start of a program."""
  # PyTorch is an optional dependency.
  from experiments.speed import agreement  # noqa: PLC0415
  from experiments.speed import peer  # noqa: PLC0415
  from experiments.speed import torch_arrays  # noqa: PLC0415

  trainer = agreement.trainer_of(
    network, config, program, **OPTIONS_OF_PEERS[name]
  )
  data = torch_arrays.images(images, torch_arrays.device())

  def run(steps: int) -> None:
    for _ in range(steps):
      batches, z = peer.draw(
        data, config.critic_steps, config.batch_size, network.latent_size
      )
      trainer.step(batches, z)
    torch_arrays.wait(data.device)

  return run


# Peers by name, and how they are made.
OPTIONS_OF_PEERS: dict[str, dict[str, Any]] = {
  'eager': {},
  'compile': {'compiled': 'default'},
  'graphs': {'compiled': 'reduce-overhead'},
  'autocast': {'autocast': True},
  'rounded': {'rounded': True},
}

# What is compared with ours in another precision than float32.
PRECISION_OF = {'autocast': 'bfloat16', 'rounded': 'tensorfloat32'}
