"""Tasks of translating images, with and without pairs.

Shapes: N images, H, W, C condition.
"""

from collections.abc import Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.continual import tasks
from coalesce_jax.core import types
from coalesce_jax.translation import cyclegan_method
from coalesce_jax.translation import pix2pix_method
from coalesce_jax.translation import training


def translation(
  name: str, pairs: Any, config: pix2pix_method.Config | None = None
) -> tasks.Task:
  """Returns the task of translating images by pix2pix.

  Its main score is the mean absolute difference to held-out targets.

  Args:
    name: name of the task.
    pairs: see `translation.training.data`.
    config: settings; None is `pix2pix_method.Config()`.

  Raises:
    ValueError: see `translation.pix2pix_method.pix2pix` and `tasks.named`.
  """
  config = pix2pix_method.Config() if config is None else config
  images = training.data(pairs, config.crop_size, paired=True)
  spec, _ = pix2pix_method.networks(images, config)
  problem = pix2pix_method.problem(images, config)
  return tasks.Task(
    tasks.named(name),
    spec,
    spec.build(),
    problem,
    evaluate=_difference(spec.options),
    held_out=images,
    kept=lambda n: images.condition[:n],
    replayed=_translated(spec.options),
    auxiliary=_montages,
  )


def unpaired(
  name: str, domains: Any, config: cyclegan_method.Config | None = None
) -> tasks.Task:
  """Returns the task of translating images without pairs by CycleGAN.

  Its network has the parameters of both directions, `ab` and `ba`, and applies
  the first one, which is that of its spec. Its main score is the energy
  distance of images averaged over blocks to held-out targets. It has no replay.

  Args:
    name: name of the task.
    domains: see `translation.training.data`.
    config: settings; None is `cyclegan_method.Config()`.

  Raises:
    ValueError: see `translation.cyclegan_method.cyclegan` and `tasks.named`;
      there are fewer than two held-out images.
  """
  config = cyclegan_method.Config() if config is None else config
  images = training.data(domains, config.crop_size, paired=False)
  held = images.held_condition, images.held_target
  if min(map(len, held)) < 2:
    raise ValueError(f'task {name}: fewer than 2 held-out images of a domain')
  specs, _ = cyclegan_method.networks(images, config)
  problem = cyclegan_method.problem(images, config)
  both = problem.method.generator

  def no_replay(*args: Any) -> Any:
    raise ValueError(f'task {name}: replay needs pairs of images, or latents')

  return tasks.Task(
    tasks.named(name),
    specs[0],
    _first(both, specs[0].build()),
    problem,
    evaluate=_domain(specs[0].options),
    held_out=held,
    kept=no_replay,
    replayed=no_replay,
    auxiliary=_montages,
  )


@functools.lru_cache(maxsize=64)
def _first(both: types.Network, network: types.Network) -> types.Network:
  return types.Network(
    both.init, lambda params, inputs: network.apply(params['ab'], inputs)
  )


@functools.lru_cache(maxsize=64)
def _domain(options: tuple[tuple[str, Any], ...]) -> Any:
  def evaluate(
    network: types.Network, params: types.Params, held_out: Any
  ) -> dict[str, jax.Array]:
    condition, target = held_out
    made = training.translate(network, params, condition, dict(options))
    return {'energy': training.domain_distance(made, target)}

  return evaluate


@functools.lru_cache(maxsize=64)
def _translated(options: tuple[tuple[str, Any], ...]) -> Any:
  """Returns a replay: kept conditions with translations as targets."""

  def replayed(
    network: types.Network,
    params: types.Params,
    key: types.PRNGKey,
    kept: jax.Array,
    n: int,
  ) -> tuple[training.Data]:
    del key, n
    made = training.translate(network, params, kept, dict(options))
    return (training.Data(kept, made, kept, made),)

  return replayed


def _montages(prior: Any, t: int) -> Sequence[Any]:
  """Returns draws whose conditions are montages, as of Lifelong GAN.

  Each quarter of an image comes from another image of the batch. Zhai et al.,
  "Lifelong GAN", https://arxiv.org/abs/1907.10107.
  """
  del t
  pair = prior.get('pair', prior)
  x = pair['condition']
  rows = (jnp.arange(x.shape[1]) >= x.shape[1] // 2)[None, :, None, None]
  columns = (jnp.arange(x.shape[2]) >= x.shape[2] // 2)[None, None, :, None]
  others = [jnp.roll(x, k, 0) for k in range(4)]
  upper = jnp.where(columns, others[1], others[0])
  lower = jnp.where(columns, others[3], others[2])
  pair = {**pair, 'condition': jnp.where(rows, lower, upper)}
  return (({**prior, 'pair': pair} if 'pair' in prior else pair),)


@functools.lru_cache(maxsize=64)
def _difference(options: tuple[tuple[str, Any], ...]) -> Any:
  def evaluate(
    network: types.Network, params: types.Params, images: training.Data
  ) -> dict[str, jax.Array]:
    return {'l1': training.l1(network, params, images, dict(options))}

  return evaluate
