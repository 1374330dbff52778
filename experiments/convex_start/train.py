"""Pretrains from several starts, and plays the convex game by gradients."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from matplotlib import figure
import numpy as np

from coalesce_jax.data import datasets
from coalesce_jax.data import pixels
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import convex
from coalesce_jax.gan import convex_game
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import settings
from coalesce_jax.metrics import energy
from coalesce_jax.metrics import spread
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.pipeline import fields
from coalesce_jax.pipeline import keys as keys_lib
from coalesce_jax.training import loop
from coalesce_jax.training import schedules
from coalesce_jax.trials import timing
from coalesce_jax.trials import trials

_COUNTS = (
  'seeds', 'start_steps', 'samples', 'game_samples', 'game_latents',
  'game_dims', 'game_steps',
)  # fmt: skip


def validate(config: Any) -> None:
  """Checks the settings before anything is done.

  Raises:
    ValueError: one line.
  """
  for start in config.starts:
    if start not in settings.STARTS:
      raise ValueError(f'starts: {start!r} is not one of {settings.STARTS}')
  fields.positive(config, *_COUNTS)
  if not config.steps or min(config.steps) < 1:
    raise ValueError(f'steps {tuple(config.steps)} are not all at least 1')
  keys_lib.check(config.seed)


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials of a configuration, by name."""
  del workdir, stop
  found: dict[str, trials.Trial] = {
    f'{start}_{steps}': functools.partial(pretrained, config, start, steps)
    for steps in config.steps
    for start in config.starts
  }
  found['game'] = functools.partial(game, config)
  return found


def pretrained(config: Any, start: str, steps: int) -> dict[str, Any]:
  """Scores generators that are trained from a start."""
  train, test = datasets.both(config.dataset, config.data_dir or None)
  options, critic = _options(config)
  spec = generator_lib.Spec(
    config.network, config.latent_size, train.images.shape[1:], options,
    config.network, critic,
  )  # fmt: skip
  made = pretraining.Config(
    game=config_lib.Config(batch_size=config.batch_size),
    schedule=schedules.Schedule(steps, loop.chunk_of(steps, 50)),
    start=start,
    start_steps=config.start_steps,
  )
  keys = jax.random.split(jax.random.key(config.seed), config.seeds)
  params, spent = timing.once(lambda: pretraining.pretrain(
    keys, [train.images], spec, config=made
  )[0][0].params)  # fmt: skip
  trained = generator_lib.Generator(spec.build(), params, spec)
  real = pixels.decode(jnp.asarray(test.images))
  rng = np.random.default_rng(config.seed)
  rows = rng.permutation(len(train.images))[: config.samples]
  best = energy.energy_distance(
    real, pixels.decode(jnp.asarray(train.images[rows]))
  )
  scores = []
  for k in range(config.seeds):
    one = ensembles.member(trained, k)
    drawn = one.sample(jax.random.key(k), config.samples)
    scores.append(float(energy.energy_distance(real, drawn) - best))
  return {'scores': scores, **spent}


def _options(config: Any) -> tuple[Any, Any]:
  """Returns the options of the generator and of the critic."""
  if config.network == 'mlp':
    hidden = (8 * config.width,)
    return (
      generator_lib.freeze({'hidden': hidden, 'output': 'tanh'}),
      generator_lib.freeze({'hidden': hidden}),
    )
  width = generator_lib.freeze({'width': config.width})
  return width, width


def game(config: Any) -> dict[str, Any]:
  """Plays the convex game by gradients, and measures gaps and times."""
  rng = np.random.default_rng(config.seed)
  scales = np.geomspace(2.0, 0.2, config.game_dims)[None]
  shape = config.game_samples, config.game_dims
  x = jnp.asarray(rng.normal(size=shape) * scales, jnp.float32)
  z = jnp.asarray(
    rng.normal(size=(config.game_samples, config.game_latents)), jnp.float32
  )
  beta = config.game_beta
  # The first call of both ways compiles.
  solve = functools.partial(convex.solve, z, x, beta)
  timing.once(solve)
  best, closed = timing.once(solve)
  made = config_lib.Config(
    batch_size=config.game_samples, critic_steps=1, learning_rate=1e-2,
    beta1=0.0, decay_steps=config.game_steps, held_out=False, epsilon=1e-3,
  )  # fmt: skip
  played, inputs, init = convex_game.make(made, z, x, beta)
  key_init, key_run = jax.random.split(jax.random.key(config.seed))
  schedule = schedules.Schedule(
    config.game_steps, loop.chunk_of(config.game_steps, 150)
  )
  drive = functools.partial(
    loop.drive, played.task, init(key_init), inputs, key_run, schedule
  )
  timing.once(lambda: drive().model)
  result, trained = timing.once(lambda: drive().model)
  samples = z @ result['w']
  value = float(jnp.sum(samples**2)) / config.game_samples
  return {
    'objective_gap': abs(value / float(best.value) - 1.0),
    'residual_gap': abs(
      float(convex.residual(x, samples)) / float(best.residual) - 1.0
    ),
    'closed_form_seconds': closed['seconds'],
    'trained_seconds': trained['seconds'],
    'ratio': trained['seconds'] / closed['seconds'],
  }


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Makes the summary and the table of the trials that are done."""
  rows = {name: result for name, result in results.items() if name != 'game'}
  lines = [
    f'| start | {" | ".join(f"{n} steps" for n in config.steps)} |',
    '|---|' + '---:|' * len(config.steps),
  ]
  line: dict[str, Any] = {}
  for start in config.starts:
    cells = []
    for steps in config.steps:
      row = rows.get(f'{start}_{steps}')
      cells.append(spread.text(row['scores'], 3) if row else '')
      if row:
        line[f'{start}, {steps}'] = round(float(np.mean(row['scores'])), 4)
    lines.append(f'| {start} | {" | ".join(cells)} |')
  lines.append('')
  summary: dict[str, Any] = {'rows': rows}
  if 'game' in results:
    summary['game'] = results['game']
    names, values = zip(*results['game'].items(), strict=True)
    lines += [
      f'| {" | ".join(names)} |', '|' + '---:|' * len(names),
      f'| {" | ".join(f"{value:.4g}" for value in values)} |', '',
    ]  # fmt: skip
    line['game, ratio of times'] = round(float(results['game']['ratio']), 1)
  drawn = {'steps': _drawn(config, rows)}
  return trials.Report(summary, line, '\n'.join(lines), drawn)


def _drawn(config: Any, rows: dict[str, dict[str, Any]]) -> figure.Figure:
  """Draws the scores of each start against the steps of the game."""
  drawn = figure.Figure(figsize=(6.0, 3.6), layout='constrained')
  axis = drawn.subplots()
  for start in config.starts:
    done = [n for n in config.steps if f'{start}_{n}' in rows]
    each = [rows[f'{start}_{n}']['scores'] for n in done]
    if done:
      axis.errorbar(
        done, [np.mean(x) for x in each], [spread.deviation(x) for x in each],
        fmt='o-', capsize=2, label=start,
      )  # fmt: skip
  axis.set(
    xscale='log', yscale='log', xlabel='steps of the game',
    ylabel='excess energy distance',
  )  # fmt: skip
  axis.set_xticks(list(config.steps), [f'{n:,}' for n in config.steps])
  axis.minorticks_off()
  if rows:
    axis.legend()
  return drawn
