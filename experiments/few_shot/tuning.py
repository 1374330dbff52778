"""One method in one setting: chosen on other samples, then tested.

Shapes: V variants, S seeds, R pairs of rates, D draws of local samples,
M = V S or V R D members.
"""

from collections.abc import Callable
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.runs import records
from coalesce_jax.runs import workdir
from coalesce_jax.training import loop
from experiments.few_shot import evaluation
from experiments.few_shot import methods
from experiments.few_shot import recipes
from experiments.few_shot import selection
from experiments.few_shot import starts as starts_lib

Stop = Callable[[], bool]
# Of results that other methods start from, while they are tuned.
_TUNING = '_tuning'


class Played(NamedTuple):
  """What a method did.

  Attributes:
    made: its result, of M members.
    looks: step -> parameters of the averaged generators, M members.
    metrics: of the last chunk.
    step_ms: of a step and member, after the first chunk, which compiles; None
      where there are no steps.
  """

  made: generator.Generator
  looks: dict[int, Any]
  metrics: dict[str, np.ndarray]
  step_ms: float | None


def is_start(name: str) -> bool:
  """Whether others go on from the result of this method."""
  return any(name in method.after for method in methods.TABLE.values())


def variants(config: Any, method: methods.Method) -> tuple[float, ...]:
  """Values of a method's variants; one of no meaning where it has none."""
  return tuple(config[method.variants]) if method.variants else (0.0,)


def choose(
  config: Any,
  work: workdir.Workspace,
  setting: starts_lib.Setting,
  count: int,
  name: str,
  before: dict[str, Any],
  stop: Stop,
) -> dict[str, Any]:
  """Rate and step of every variant, on local samples of other seeds.

  The one rule: the least Frechet distance to training images of the target,
  mean over draws, over all rates and all steps that are looked at whose copies
  are few enough (`selection.pick`). A method that takes no steps is scored
  likewise.

  Returns:
    `rows`, one a variant: `value`, what `selection.pick` returns, and by both
    rates ('3, 1') and step `curves`, `copies`, and `unseen`, the copies of
    samples that were not trained on; the `distance` that the critics saw at the
    rates of the first row, a number a draw, for methods that go after.
  """
  method = methods.TABLE[name]
  rates = [(1.0, 1.0)]
  if method.trains:
    tuning = config.tuning
    rates = list(zip(tuning.rates, tuning.generator_rates, strict=True))
  values = variants(config, method)
  seeds = list(range(config.tuning.draws))
  draws = setting.tuned(count)
  each = len(rates) * len(seeds)
  times = (len(values) * len(rates),) + (1,) * (draws.ndim - 1)
  played = _play(
    config, work, setting, method, np.tile(draws[:-1], times),
    seeds=seeds * times[0], values=np.repeat(values, each),
    rates=np.tile(np.repeat(rates, len(seeds), 0), (len(values), 1)),
    distance=_distance(before, len(values) * each), suffix=_TUNING, stop=stop,
  )  # fmt: skip
  clouds = {
    'copied': seeds * times[0],
    'unseen': [len(seeds)] * len(seeds) * times[0],
  }
  found = evaluation.curves(
    config, played.made, played.looks, setting.tuning, draws, clouds
  )
  rows: list[dict[str, Any]] = []
  for v, value in enumerate(values):
    starts = range(v * each, (v + 1) * each, len(seeds))
    by_rate = {
      measure: {
        rate: {
          step: float(np.mean(row[at : at + len(seeds)]))
          for step, row in curve.items()
        }
        for rate, at in zip(rates, starts, strict=True)
      }
      for measure, curve in found.items()
    }
    kept = {'curves': 'frechet', 'copies': 'copied', 'unseen': 'unseen'}
    rows.append(
      {
        'value': value, **selection.pick(by_rate, config.tuning.copied),
        **{
          field: {f'{a:g}, {b:g}': row for (a, b), row in by_rate[m].items()}
          for field, m in kept.items()
        },
      }
    )  # fmt: skip
  first = rows[0]
  at = rates.index((first['rate'], first['generator_rate'])) * len(seeds)
  if is_start(name):
    params = played.looks[first['step']]
    made = played.made._replace(params=params)
    start = ensembles.batched([ensembles.member(made, at + s) for s in seeds])
    starts_lib.write(work, setting, f'{name}_n{count}{_TUNING}', start)
  return {'rows': rows, 'distance': _seen(played, at, len(seeds))}


def test(
  config: Any,
  work: workdir.Workspace,
  setting: starts_lib.Setting,
  count: int,
  name: str,
  chosen: list[selection.Choice],
  before: dict[str, Any],
  stop: Stop,
) -> dict[str, Any]:
  """All measures of every variant at its chosen rate and step.

  Returns:
    `rows`, one a variant: `value`, `selection.Choice`, `scores` (a list over
    seeds by measure, `held_out` is the energy distance to held-out local
    samples),
    `curve` and `copies` (lists over seeds by step); `distance`, as of `choose`.
  """
  method, values = methods.TABLE[name], variants(config, methods.TABLE[name])
  seeds = list(range(config.seeds))
  draws = setting.tested(count)
  local = np.tile(draws, (len(values),) + (1,) * (draws.ndim - 1))
  played = _play(
    config, work, setting, method, local,
    seeds=seeds * len(values), values=np.repeat(values, len(seeds)),
    rates=np.repeat(
      [(c.rate, c.generator_rate) for c in chosen], len(seeds), 0
    ),
    distance=_distance(before, len(local)), stop=stop,
  )  # fmt: skip
  seen = evaluation.curves(
    config, played.made, played.looks, setting.problem.reference, draws,
    {'copied': seeds * len(values)},
  )  # fmt: skip
  rows, best = [], []
  for v, (value, choice) in enumerate(zip(values, chosen, strict=True)):
    index = range(v * len(seeds), (v + 1) * len(seeds))
    found = []
    for s, i in enumerate(index):
      if stop():
        raise loop.Interrupted('while a method is measured')
      params = played.looks[choice.step] if played.looks else played.made.params
      one = played.made._replace(params=trees.member(params, i), critic=None)
      best.append(one)
      found.append(evaluation.scores(config, setting, one, local[i], s))
    rows.append(
      {
        'value': value, **choice._asdict(),
        'scores': {k: [f[k] for f in found] for k in found[0]},
        **{
          field: {
            step: [row[i] for i in index] for step, row in seen[name].items()
          }
          for field, name in (('curve', 'frechet'), ('copies', 'copied'))
        },
      }
    )  # fmt: skip
  if is_start(name):
    critic = played.made.critic
    made = ensembles.batched(best[: len(seeds)])._replace(critic=critic)
    starts_lib.write(work, setting, f'{name}_n{count}', made)
  return {
    'rows': rows,
    'distance': _seen(played, 0, len(seeds)),
    'step_ms': played.step_ms,
  }


def _play(
  config: Any,
  work: workdir.Workspace,
  setting: starts_lib.Setting,
  method: methods.Method,
  local: np.ndarray,
  *,
  seeds: list[int],
  values: np.ndarray,
  rates: np.ndarray,
  distance: np.ndarray,
  suffix: str = '',
  stop: Stop,
) -> Played:
  base = jax.random.key(config.seed)
  # The tuning trains by other random numbers than the test.
  first = 2000 if suffix else 1000
  key = jnp.stack([jax.random.fold_in(base, first + s) for s in seeds])
  starts = {n: starts_lib.read(work, setting, n, seeds) for n in method.starts}
  for other in method.after:
    kept = f'{other}_n{local.shape[1]}{suffix}'
    starts[other] = starts_lib.read(work, setting, kept, seeds)
  looks: dict[int, Any] = {}
  metrics: dict[str, np.ndarray] = {}
  times: dict[int, float] = {}

  def hooks(part: str) -> loop.Hooks:
    bar = records.progress(part, config.budget.steps)

    def progress(step: int, _: int) -> None:
      times[step] = time.monotonic()
      bar(step)

    return loop.Hooks(
      log=lambda step, row: metrics.update(row),
      observe=lambda step, params: looks.update({step: params}),
      stop=stop,
      progress=progress,
    )

  made = method.play(
    recipes.Run(
      key=key,
      local=jnp.asarray(local),
      nodes=[
        starts_lib.read(work, setting, f'node_{k}', seeds)
        for k in range(len(setting.problem.nodes))
      ],
      starts=starts,
      values=np.asarray(values, np.float32),
      distance=distance,
      config=recipes.budget(config, setting.config, rates),
      target=setting.problem.target,
      settings=setting.config,
      hooks=hooks,
    )
  )
  jax.block_until_ready(made.params)
  if len(times) < 2:
    return Played(made, looks, metrics, None)
  spent = (times[max(times)] - times[min(times)]) / (max(times) - min(times))
  return Played(made, looks, metrics, round(1000 * spent / len(seeds), 2))


def _seen(played: Played, first: int, count: int) -> list[float] | None:
  """Distance between the two sources, as critics of these members saw it."""
  seen = played.metrics.get('distance')
  return None if seen is None else [float(x) for x in seen[first:][:count]]


def _distance(before: dict[str, Any], count: int) -> np.ndarray:
  """The same, of the method that went before, for `count` members."""
  for result in before.values():
    if result.get('distance') is not None:
      seen = np.asarray(result['distance'], np.float32)
      return np.tile(seen, count // len(seen))
  return np.full(count, np.nan, np.float32)
