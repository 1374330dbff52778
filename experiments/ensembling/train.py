"""Trains weak classifiers, combines their predictions, and scores them.

Shapes: M models, N predictions, L classes.
"""

from collections.abc import Callable, Iterator
import functools
from typing import Any

import jax
import numpy as np

from coalesce_jax.data import datasets
from coalesce_jax.ot import ensembling
from coalesce_jax.pipeline import fields
from coalesce_jax.pipeline import keys as keys_lib
from coalesce_jax.trials import trials
from experiments.ensembling import classifiers
from experiments.ensembling import semantics
from experiments.ensembling import speed

GEOMETRIC = 'geometric mean'
Combine = Callable[[np.ndarray], np.ndarray]


def validate(config: Any) -> None:
  """Checks the settings before anything is done.

  Raises:
    ValueError: one line.
  """
  if config.dataset not in semantics.GROUPS:
    raise ValueError(
      f'dataset {config.dataset!r} is not one of {tuple(semantics.GROUPS)}'
    )
  fields.positive(
    config, 'seeds', 'models', 'images', 'validation', 'steps', 'batch_size',
    'iterations',
  )  # fmt: skip
  for name in ('epsilons', 'marginal_weights'):
    if not config[name] or min(config[name]) <= 0.0:
      raise ValueError(f'{name} {tuple(config[name])} are not all positive')
  keys_lib.check(config.seed)


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials of a configuration, by name."""
  del workdir, stop
  found: dict[str, trials.Trial] = {
    f'seed_{k}': functools.partial(one_seed, config, k)
    for k in range(config.seeds)
  }
  if config.speed.repeats:
    found['speed'] = functools.partial(speed.beside_pot, config)
  return found


def one_seed(config: Any, number: int) -> dict[str, Any]:
  """Trains the models of a seed, and scores all methods on the test images."""
  train, test = datasets.both(config.dataset, config.data_dir or None)
  assert train.labels is not None and test.labels is not None
  distance = semantics.distances(config.dataset)
  rng = np.random.default_rng([config.seed, number])
  order = rng.permutation(len(train.labels))
  held, rest = order[: config.validation], order[config.validation :]
  rows = rest[classifiers.chosen(rng, train.labels[rest], config)]
  predict = classifiers.train(
    jax.random.fold_in(jax.random.key(config.seed), number),
    train.images[rows], train.labels[rows], len(distance), config,
  )  # fmt: skip
  some = slice(config.test or None)
  tested, labels = predict(test.images[some]), test.labels[some]
  shown, known = predict(train.images[held]), train.labels[held]
  similarity = semantics.similarity(shown, known)
  others = rng.permutation(len(distance))
  found: dict[str, Any] = {'one model': _single(tested, labels, distance)}
  limit = None
  for name, options in _methods(config, similarity, others).items():
    each = {
      setting: semantics.scores(combine(shown), known, distance)
      for setting, combine in options.items()
    }
    if name == GEOMETRIC:
      limit = each['']['accuracy'] - config.slack
    setting = select(each, limit)
    score = semantics.scores(options[setting](tested), labels, distance)
    found[name] = {**score, 'setting': setting}
  return {'scores': found, 'similarity': similarity.tolist()}


def select(each: dict[str, dict[str, float]], limit: float | None) -> str:
  """Returns the setting of least semantic error among accurate ones.

  Args:
    each: scores of the settings on validation images.
    limit: least accuracy; if no setting has it, the most accurate is taken.
  """
  able = [
    name
    for name, score in each.items()
    if limit is None or score['accuracy'] >= limit
  ]
  if not able:
    return max(each, key=lambda name: each[name]['accuracy'])
  return min(able, key=lambda name: each[name]['semantic_error'])


def _single(
  probabilities: np.ndarray, labels: np.ndarray, distance: np.ndarray
) -> dict[str, Any]:
  """Returns the mean scores of single models."""
  each = [semantics.scores(p, labels, distance) for p in probabilities]
  return {k: float(np.mean([s[k] for s in each])) for k in each[0]}


def _methods(
  config: Any, similarity: np.ndarray, others: np.ndarray
) -> dict[str, dict[str, Combine]]:
  """Returns all methods: what combines predictions, by setting."""
  permuted = similarity[np.ix_(others, others)]
  return {
    'arithmetic mean': {'': lambda p: p.mean(0)},
    GEOMETRIC: {'': geometric},
    'barycenter': dict(_barycenters(config, similarity, (None,))),
    'unbalanced barycenter': dict(
      _barycenters(config, similarity, config.marginal_weights)
    ),
    'permuted similarity': dict(_barycenters(config, permuted, (None,))),
    'permuted, unbalanced': dict(
      _barycenters(config, permuted, config.marginal_weights)
    ),
  }


def _barycenters(
  config: Any, similarity: np.ndarray, penalties: Any
) -> Iterator[tuple[str, Combine]]:
  for epsilon in config.epsilons:
    for penalty in penalties:
      name = f'epsilon {epsilon}'
      if penalty is not None:
        name += f', penalty {penalty}'
      yield (
        name,
        functools.partial(
          _barycenter, similarity, epsilon, penalty, config.iterations
        ),
      )


def _barycenter(
  similarity: np.ndarray,
  epsilon: float,
  penalty: float | None,
  iterations: int,
  probabilities: np.ndarray,
) -> np.ndarray:
  found = ensembling.from_costs(
    probabilities, None, -np.log(similarity), epsilon=epsilon,
    marginal_weight=penalty, iterations=iterations,
  )  # fmt: skip
  return np.asarray(found.probabilities, np.float64)


def geometric(probabilities: np.ndarray) -> np.ndarray:
  """Returns the normalised geometric mean of `[M, N, L]`, `[N, L]`."""
  logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-30)).mean(0)
  values = np.exp(logs - logs.max(1, keepdims=True))
  return values / values.sum(1, keepdims=True)
