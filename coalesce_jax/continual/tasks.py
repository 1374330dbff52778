"""Tasks of a stream: a problem with a name and an evaluation.

Shapes: N samples, Z latent, T tasks.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.gan import sources
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import problems
from coalesce_jax.methods import runner
from coalesce_jax.metrics import energy
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.parallel import batch_shards
from coalesce_jax.translation import pix2pix_method
from coalesce_jax.translation import training

_NAME = re.compile(r'[a-z0-9][a-z0-9_.-]{0,59}')
# Samples of an evaluation.
_SAMPLES = 512


class Task(NamedTuple):
  """One task of a stream.

  Attributes:
    name: lower-case name, for files and tables.
    spec: the generator that it learns, as a file names it.
    problem: how a new generator learns it.
    evaluate: ``(network, parameters, held_out) -> scores`` by name, `[]` each,
      lower is better. The first one is the main score. Tasks that share this
      function and the network of the spec share a compiled program.
    held_out: data of `evaluate`.
    kept: ``n -> tree``, data that replay keeps of the task for n samples.
    replayed: ``(network, parameters, key, kept, n) -> args`` of the problem,
      made by a generator of the task in place of its data.
    auxiliary: ``(prior, t) -> priors`` for which the generator of earlier tasks
      can teach that of task t. `prior` are draws of the problem's prior.
  """

  name: str
  spec: generator_lib.Spec
  problem: problems.Problem
  evaluate: Callable[..., dict[str, jax.Array]]
  held_out: Any
  kept: Callable[[int], Any]
  replayed: Callable[..., tuple[Any, ...]]
  auxiliary: Callable[[Any, int], Sequence[Any]]


def named(name: str) -> str:
  """Returns the name of a task.

  Raises:
    ValueError: it is no lower-case name of at most 60 characters.
  """
  if not isinstance(name, str) or not _NAME.fullmatch(name):
    raise ValueError(
      f'task name {str(name)[:60]!r}: use lower-case letters, digits, _, . '
      'and -, at most 60'
    )
  return name


def translation(
  name: str, pairs: Any, config: pix2pix_method.Config | None = None
) -> Task:
  """Returns the task of translating images by pix2pix.

  Its main score is the mean absolute difference to held-out targets.

  Args:
    name: name of the task.
    pairs: see `translation.training.data`.
    config: settings; None is `pix2pix_method.Config()`.

  Raises:
    ValueError: see `translation.pix2pix_method.pix2pix` and `named`.
  """
  config = pix2pix_method.Config() if config is None else config
  images = training.data(pairs, config.crop_size, paired=True)
  spec, _ = pix2pix_method.networks(images, config)
  problem = pix2pix_method.problem(images, config)
  return Task(
    named(name),
    spec,
    problem,
    evaluate=_difference,
    held_out=images,
    kept=lambda n: images.condition[:n],
    replayed=_translated,
    auxiliary=_montages,
  )


def _translated(
  network: types.Network,
  params: types.Params,
  key: types.PRNGKey,
  kept: jax.Array,
  n: int,
) -> tuple[training.Data]:
  """Returns kept conditions with the translator's images as targets."""
  del key, n
  pair = kept, training.translate(network, params, kept)
  return (training.Data(*pair, *pair),)


def _montages(prior: Any, t: int) -> Sequence[Any]:
  """Returns draws whose conditions are montages, the data of Lifelong GAN.

  Each quarter of an image comes from another image of the batch. Sec. 4.1 of
  Zhai et al., "Lifelong GAN", https://arxiv.org/abs/1907.10107.
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


def _difference(
  network: types.Network, params: types.Params, images: training.Data
) -> dict[str, jax.Array]:
  return {'l1': training.l1(network, params, images)}


def latents(
  name: str,
  images: Any,
  spec: generator_lib.Spec,
  config: pretraining.Config | None = None,
  code: tuple[int, int] | None = None,
) -> Task:
  """Returns the task of generating samples from latents by a Wasserstein GAN.

  Its main score is the energy distance to held-out samples.

  Args:
    name: name of the task.
    images: samples, `[N, ...]`, uint8 or in [-1, 1].
    spec: architecture of generator and critic.
    config: settings; None is `pretraining.Config()`.
    code: (t, T). The last T of the Z latents are then a code of the task: 1 at
      t, 0 elsewhere. One network can so tell tasks apart.

  Raises:
    ValueError: see `pretraining.pretrain` and `named`; the code does not fit.
  """
  config = pretraining.Config() if config is None else config
  checked = pretraining.check([images], spec)
  args = jax.tree.map(
    lambda leaf: leaf[0], pretraining.padded(checked, config.held_out)
  )
  prior = coded_normal(spec.latent_size, code)
  begin = pretraining.setup(spec)

  def setup(key: types.PRNGKey, hyper: Any, *args: Any) -> runner.Setup:
    return begin(key, hyper, *args)._replace(prior=prior)

  method = runner.method(config.game, config.schedule, spec, decay=config.decay)
  problem = problems.Problem(setup, args, method)
  spec = dataclasses.replace(spec, critic=None, critic_options=())

  def replayed(
    network: types.Network,
    params: types.Params,
    key: types.PRNGKey,
    kept: Any,
    n: int,
  ) -> tuple[Any, ...]:
    held = max(1, round(n * config.held_out))
    made = network.apply(params, sources.draw_one(prior, key, n + held))
    return made[:n], made[n:], jnp.array([n, held], jnp.int32)

  def auxiliary(z: jax.Array, t: int) -> Sequence[jax.Array]:
    if code is None:
      return (z,) if t else ()
    ones = [jnp.zeros(code[1]).at[k].set(1.0)[None] for k in range(t)]
    return [
      jnp.concatenate([
        z[:, : -code[1]], jnp.broadcast_to(one, (len(z), code[1]))
      ], 1)
      for one in ones
    ]  # fmt: skip

  return Task(
    named(name),
    spec,
    problem,
    evaluate=_energy,
    held_out=(args[1], args[2][1], prior),
    kept=lambda n: (),
    replayed=replayed,
    auxiliary=auxiliary,
  )


def _energy(
  network: types.Network, params: types.Params, held_out: Any
) -> dict[str, jax.Array]:
  real, size, prior = held_out
  z = sources.draw_one(prior, jax.random.key(0), _SAMPLES)
  rows = jnp.arange(_SAMPLES) % size
  made = network.apply(params, z)
  return {'energy': energy.energy_distance(pixels.decode(real[rows]), made)}


def coded_normal(
  latent_size: int, code: tuple[int, int] | None
) -> sources.Source:
  """Returns a source of normal latents that end in the code of a task.

  Args:
    latent_size: Z, with the code.
    code: (t, T), or None for latents without a code.

  Raises:
    ValueError: the code does not fit.
  """
  if code is None:
    return sources.normal(latent_size)
  t, count = code
  if not 0 <= t < count < latent_size:
    raise ValueError(
      f'code {t} of {count} tasks does not fit {latent_size} latents'
    )
  one = np.eye(count, dtype=np.float32)[t]
  return sources.Source(one, _draw_coded(latent_size))


@functools.lru_cache(maxsize=64)
def _draw_coded(latent_size):
  def draw(code: jax.Array, key: types.PRNGKey, n: int) -> jax.Array:
    z = batch_shards.rows(
      lambda n: jax.random.normal(key, (n, latent_size - len(code))), n
    )
    codes = jnp.broadcast_to(code[None], (n, len(code)))
    return jnp.concatenate([z, codes], 1)[None]

  return draw
