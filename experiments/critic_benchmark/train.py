"""Trains critics between two known laws and measures what they learned.

The game is that of every stage with a generator that stands still: its fake
samples are the moved points, its one source the uniform law.
"""

import functools
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import sources
from coalesce_jax.networks import registry
from coalesce_jax.ot import funnels
from coalesce_jax.pipeline import fields
from coalesce_jax.training import loop
from coalesce_jax.trials import names as names_lib
from coalesce_jax.trials import trials
from experiments.critic_benchmark import evaluation
from experiments.critic_benchmark import plots
from experiments.critic_benchmark import published

CRITIC_STEPS = 20
CHUNK = 25


class Cell(NamedTuple):
  """One pair of laws."""

  dimension: int
  number: int
  pair: funnels.Funnels


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All cells with all critics, by name."""
  del workdir, stop  # A cell takes seconds.
  file, seed = config.pairs, config.seed
  cells = [
    Cell(d, n, load(file, d, n) if file else draw(seed, d, n))
    for n in names_lib.sizes('funnels', config.funnels)
    for d in names_lib.sizes('dims', config.dims)
  ]
  todo: dict[str, trials.Trial] = {}
  for cell in cells:
    for name in _names(config):
      todo[f'D{cell.dimension}_N{cell.number}_{name}'] = functools.partial(
        measure, cell, name, config
      )
  return todo


def _names(config: Any) -> list[str]:
  """Names of the critics to train; a flag may give one alone."""
  names = config.critics
  return [names] if isinstance(names, str) else list(names)


def prepare(config: Any, pairs: str | None = None) -> None:
  """Refuses settings that would only fail after hours, by name.

  Args:
    config: see `configs/default.py`.
    pairs: replaces the file of funnels, where it is given.

  Raises:
    ValueError: one line with the field.
  """
  if pairs is not None:
    config.pairs = pairs
  if not _names(config):
    raise ValueError('critics is empty')
  for name in [*_names(config), config.best]:
    if name not in config.settings:
      raise ValueError(
        f'critic {name!r} is not one of {sorted(config.settings)}'
      )
  fields.positive(config, 'eval_samples')
  for name in _names(config):
    build(config.settings[name], 1)
    _game(config, name)


def load(path: str, dimension: int, count: int) -> funnels.Funnels:
  """One pair of a file of published funnels.

  Raises:
    ValueError: no such file, no such pair in it, or no funnels.
  """
  try:
    with open(path, 'rb') as file, np.load(file, allow_pickle=False) as arrays:
      centers = arrays[f'centers_D{dimension}_N{count}']
      biases = arrays[f'bias_D{dimension}_N{count}']
  except KeyError:
    raise ValueError(f'{path}: no funnels D{dimension}_N{count}') from None
  # On damaged bytes numpy and zipfile raise about ten types of errors.
  except Exception as error:
    text = str(error) or type(error).__name__
    raise ValueError(
      f'{path}: not a readable .npz ({text.splitlines()[0][:200]})'
    ) from None
  if centers.shape != (count, dimension):
    raise ValueError(f'{path}: centers_D{dimension}_N{count} {centers.shape}')
  try:
    return funnels.funnels(centers, biases)
  except ValueError as error:
    raise ValueError(f'{path}: D{dimension}_N{count}: {error}') from None


def draw(seed: int, dimension: int, count: int) -> funnels.Funnels:
  """The pair of a seed."""
  key = jax.random.fold_in(jax.random.key(seed), dimension * 100003 + count)
  return funnels.create(key, dimension, count)


def measure(cell: Cell, name: str, config: Any) -> dict[str, Any]:
  """Trains one critic and evaluates it on fresh samples."""
  critic = build(config.settings[name], cell.dimension)
  game = _game(config, name)
  steps = game.decay_steps
  schedule = loop.Schedule(steps, chunk=loop.chunk_of(steps, CHUNK))
  played = game_lib.make(game, generator=standing(cell.pair), critic=critic)
  key_init, key_run, key_eval = jax.random.split(
    jax.random.key(config.seed + 1), 3
  )
  inputs = game_lib.inputs(
    (sources.Source(cell.pair, _draw_uniform),),
    prior=sources.normal(cell.dimension),
    generator_rate=0.0,
  )
  critics = jax.vmap(critic.init)(key_init[None])
  # Of the processor, not of the clock: whatever else runs does not count.
  began = time.process_time()
  state = played.task.init(key_init, {}, critics, inputs)
  result = loop.drive(played.task, state, inputs, key_run, schedule)
  spent = time.process_time() - began
  params = jax.tree.map(lambda leaf: leaf[0], played.critics(result.state))
  row = {'D': cell.dimension, 'N': cell.number, 'critic': name}
  row |= evaluation.evaluate(
    critic, params, cell.pair, key_eval, config.eval_samples
  )
  row['updates'] = config.steps
  row['samples'] = 2 * config.steps * config.batch_size
  row['training_seconds'] = round(spent, 2)
  logging.info(
    'D %d N %d %s: W1 %.4f of %.4f, cosine %.3f', cell.dimension, cell.number,
    name, row['w1'], row['true_w1'], row['cosine'],
  )  # fmt: skip
  return row


def _game(config: Any, name: str) -> game_lib.Config:
  """The game of one critic: as many updates as were asked for."""
  if config.steps < 1 or config.steps % min(CRITIC_STEPS, config.steps):
    raise ValueError(
      f'steps {config.steps} is neither 1 to {CRITIC_STEPS} nor a multiple of'
      f' {CRITIC_STEPS}'
    )
  repeats = min(CRITIC_STEPS, config.steps)
  settings = config.settings[name]
  return game_lib.Config(
    batch_size=config.batch_size,
    critic_steps=repeats,
    penalty=settings.penalty,
    learning_rate=settings.learning_rate,
    beta1=settings.beta1,
    beta2=settings.beta2,
    decay_steps=config.steps // repeats,
  )


def build(settings: Any, dimension: int) -> types.Network:
  """The critic of some settings for one dimension.

  Args:
    settings: `network` and its `options`; hidden layers that are left out have
      the published width, `max(2 D, 128)`.
    dimension: D.
  """
  options = dict(settings.options)
  if settings.network in ('cones', 'envelopes'):
    options.setdefault('scale', funnels.HALF_WIDTH)
  else:
    width = max(2 * dimension, 128)
    options.setdefault('hidden', (width, width))
  return registry.critic(settings.network, data_shape=(dimension,), **options)


def standing(pair: funnels.Funnels) -> types.Network:
  """A generator of moved points without parameters."""

  def apply(params: types.Params, z: jax.Array) -> jax.Array:
    del params
    share = jax.scipy.stats.norm.cdf(z)
    return funnels.move(pair, pair.half_width * (2.0 * share - 1.0))

  return types.Network(lambda key: {}, apply)


def _draw_uniform(
  pair: funnels.Funnels, key: types.PRNGKey, n: int
) -> jax.Array:
  return funnels.uniform(key, pair, n)[None]


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """A row a cell and critic, and which cells beat the published values."""
  summary = summarise(list(results.values()), config.best)
  rows = summary['rows']
  return trials.Report(
    summary, summary, plots.table(summary), plots.figures(rows)
  )


def summarise(rows: list[dict[str, Any]], best: str) -> dict[str, Any]:
  """Rows beside the published values.

  Returns:
    `cells`: what critic `best` reached, a cell each, with the better published
    values and whether it beats them, None where nothing is published; `passed`:
    whether it does wherever something is, None if nothing is.
  """
  cells = {}
  for row in rows:
    error = published.best_error(row['D'], row['N'])
    cosine = published.best_cosine(row['D'], row['N'])
    row['published_error'], row['published_cosine'] = error, cosine
    if row['critic'] == best:
      below = None if error is None else row['relative_error'] < error
      above = None if cosine is None else row['cosine'] > cosine
      cells[f'D{row["D"]}_N{row["N"]}'] = {
        'relative_error': row['relative_error'],
        'published_error': error,
        'error_below_published': below,
        'cosine': row['cosine'],
        'published_cosine': cosine,
        'cosine_above_published': above,
      }
  verdicts = [
    cell[name]
    for cell in cells.values()
    for name in ('error_below_published', 'cosine_above_published')
    if cell[name] is not None
  ]
  passed = all(verdicts) if verdicts else None
  return {'best': best, 'passed': passed, 'cells': cells, 'rows': rows}
