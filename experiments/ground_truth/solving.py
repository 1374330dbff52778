"""One barycenter of known laws, all seeds at once, and its row.

Shapes: K laws, S seeds.
"""

from collections.abc import Callable
import time
from typing import Any

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.gan import game
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.models import generator
from coalesce_jax.training import loop
from experiments.ground_truth import estimators
from experiments.ground_truth import problems

Stop = Callable[[], bool]


def law_options(config: Any) -> dict[str, Any]:
  """Keyword arguments of `laws.law`."""
  return {
    'gain': config.law.gain,
    'hidden': tuple(config.law.hidden),
    'critic': config.critic.name,
    'critic_options': {
      k: tuple(v) if isinstance(v, tuple | list) else v
      for k, v in config.critic.options.items()
    },
  }


def solve(
  problem: problems.Problem,
  dimension: int,
  config: Any,
  stop: Stop,
) -> dict[str, Any]:
  """One problem, all seeds: the row of the table."""
  unit = problem.family.unit
  chosen = config.line if dimension == 1 else config
  rate = chosen.rates[problem.objective]
  # Coefficients of `w1_squared` are lengths themselves.
  rate *= 1.0 if problem.objective == 'w1_squared' else unit
  members = [problem.family.at(c) for c in problem.coordinates]
  made, history, seconds = barycenter(
    members, problem.weights, config, stop,
    method=problem.method, objective=problem.objective, start=problem.start,
    radii=problem.radii, steps=chosen.steps[problem.objective],
    learning_rate=rate, batch_size=chosen.batch_size,
    critic_steps=chosen.critic_steps,
    ball_penalty=config.ball.penalty / unit, ball_rate=config.ball.rate / unit,
  )  # fmt: skip
  answer = problems.answer(problem)
  target = problem.family.at(answer.point)
  exact_distances = np.linalg.norm(
    problem.coordinates - answer.point[None], axis=1
  )
  seeds = []
  for seed, one in enumerate(made):
    key = jax.random.fold_in(jax.random.key(config.seed + 17), seed)
    found = [
      estimators.bounds(one, member, problem.family.measure, k, (target, true))
      for member, true, k in zip(
        members,
        exact_distances,
        jax.random.split(key, len(members)),
        strict=True,
      )
    ]
    row = score(problem, answer, found)
    if problem.method == 'joint':  # A recursion's is that of its last round.
      row['returned_value'] = float(history['objective'][-1][seed])
    if len(members) == 2:
      row['position'] = found[0].upper / (found[0].upper + found[1].upper)
      row['segment_residual'] = float(history['residual'][-1][seed])
      if problem.objective == 'w1_squared':
        row['true_position'] = float(problem.weights[1])
    if problem.unique:
      row['distance_to_truth'] = estimators.above(one, target, key)
    seeds.append(row)
  span = np.linalg.norm(problem.coordinates[-1] - problem.coordinates[0])
  return summary_row(
    problem.truth, problem.objective, problem.method, dimension,
    answer.value, seeds, seconds,
    span=float(span), estimator='shared latents',
  )  # fmt: skip


def score(
  problem: problems.Problem,
  answer: problems.Answer,
  found: list[estimators.Bounds],
) -> dict[str, Any]:
  """The objective at what came back, from bounds of its distances."""
  upper = np.array([b.upper for b in found])
  lower = np.array([b.lower for b in found])
  weights = problem.weights
  if problem.objective == 'ball':
    assert problem.radii is not None
    value, least = upper[0], lower[0]
    over = max(0.0, float((upper - problem.radii)[1:].max()))
    gap = max(abs(value - answer.value), over) / answer.value
    return {
      'value': value, 'lower_value': least, 'violation': over,
      'relative_gap': gap,
    }  # fmt: skip
  power = 2.0 if problem.objective == 'w1_squared' else 1.0
  value = float(weights @ upper**power)
  return {
    'value': value,
    'lower_value': float(weights @ lower**power),
    'relative_gap': value / answer.value - 1.0,
  }


def summary_row(
  truth: str,
  objective: str,
  method: str,
  dimension: int,
  value: float,
  seeds: list[dict[str, Any]],
  seconds: float,
  **more: Any,
) -> dict[str, Any]:
  """Means over seeds beside the truth, with the seeds themselves."""
  means = {
    name: float(np.mean([row[name] for row in seeds])) for name in seeds[0]
  }
  worst = max(seeds, key=lambda row: abs(row['relative_gap']))
  row = {
    'truth': truth, 'objective': objective, 'method': method, 'D': dimension,
    'true_value': value, **means,
    'relative_gap': worst['relative_gap'],
    'training_seconds': seconds, 'seeds': seeds, **more,
  }  # fmt: skip
  if 'returned_value' in means:
    row['returned_gap'] = means['returned_value'] / value - 1.0
  logging.info(
    '%s %s %s D %d: gap %.4f', truth, objective, method, dimension,
    row['relative_gap'],
  )  # fmt: skip
  return row


def barycenter(
  members: list[generator.Generator],
  weights: Any,
  config: Any,
  stop: Stop,
  *,
  method: str,
  objective: str,
  start: int = 0,
  radii: Any = None,
  steps: int,
  warmup: int | None = None,
  keys: Any = None,
  **settings: Any,
) -> tuple[list[generator.Generator], loop.History, float]:
  """`barycenter_lib.barycenter`, all seeds at once.

  Args:
    members: K laws; where `keys` are given, with `[S, ...]` leaves.
    weights: `[K]`.
    config: see `configs/default.py`.
    stop: whether a stop was asked for.
    method: as of the barycenter.
    objective: likewise.
    start: likewise.
    radii: likewise.
    steps: of the game; of every round, for the recursion.
    warmup: steps of the critics alone; None are the configuration's.
    keys: `[S]`; None are those of the configuration's seeds.
    **settings: of the game, replacing the configuration's.

  Returns:
    What came back for each seed, the history, and seconds.
  """
  if keys is None:
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    members = [_repeated(m, config.seeds) for m in members]
  played = {
    'penalty': config.penalty,
    'batch_size': config.batch_size,
    'critic_steps': config.critic_steps,
    'critic_learning_rate': config.critic_learning_rate,
    'decay_steps': steps,
    'beta1': 0.5,
    'beta2': 0.9,
    'epsilon': config.epsilon,
    'ema': config.ema,
    'w1_smoothing': config.w1_smoothing,
    'paired': True,
  }
  setup = barycenter_lib.Config(
    game=game.Config(**(played | settings)),
    schedule=loop.Schedule(steps=steps, chunk=loop.chunk_of(steps)),
    start=start,
    warmup=config.warmup if warmup is None else warmup,
  )
  began = time.monotonic()
  made, history = barycenter_lib.barycenter(
    keys, members, weights, method=method, objective=objective, radii=radii,
    config=setup, hooks=lambda part: loop.Hooks(stop=stop),
  )  # fmt: skip
  seconds = time.monotonic() - began
  one = [
    made._replace(params=trees.member(made.params, i), critic=None)
    for i in range(len(keys))
  ]
  return one, history, seconds


def _repeated(made: generator.Generator, count: int) -> generator.Generator:
  params = jax.tree.map(
    lambda x: jnp.broadcast_to(x, (count, *x.shape)), made.params
  )
  return made._replace(params=params)
