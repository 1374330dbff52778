"""What all methods of a setting share: data, node models, other starts.

Each is made once for all seeds and kept as bundles.

Shapes: K nodes, S seeds, N local samples.
"""

from collections.abc import Callable
import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.data import partition as nodes_lib
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.methods import pretraining
from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import generators
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as settings_lib
from coalesce_jax.pipeline import data as problem_lib
from coalesce_jax.runs import workdir
from coalesce_jax.trials import trials


class Parts(NamedTuple):
  """Rows of the training images of a target.

  Attributes:
    tested: `[S, N]`, the local samples of the test.
    tuned: `[D + 1, N]`, those of the tuning, and a draw that nobody learns
      from. Not among the former, nor twice among these.
    reference: `[R]`, what the tuning measures against; of neither.
  """

  tested: np.ndarray
  tuned: np.ndarray
  reference: np.ndarray


@dataclasses.dataclass(frozen=True)
class Setting:
  """A data set and a split.

  Attributes:
    name: 'mnist-overlapping', of folders.
    config: of the pipeline, for `experiments.coalesce`.
    problem: its data; the local samples are those of the trials.
    parts: rows of its target.
  """

  name: str
  config: Any
  problem: problem_lib.Problem
  parts: Parts

  @functools.cached_property
  def tuning(self) -> evaluate.Reference:
    """Training images of the target, measured like the held-out split."""
    return self.problem.training_reference(self.parts.reference)

  def tested(self, count: int) -> np.ndarray:
    """Local samples of the test: `[S, N, H, W, C]`."""
    return self.problem.target[self.parts.tested[:, :count]]

  def tuned(self, count: int) -> np.ndarray:
    """Those of the tuning, and a draw more: `[D + 1, N, H, W, C]`."""
    return self.problem.target[self.parts.tuned[:, :count]]


def parts(config: Any, problem: problem_lib.Problem) -> Parts:
  """Parts of which that of the tuning has nothing to do with the test.

  The first 20 of 100 local samples are the 20 of the same draw.

  Raises:
    ValueError: too few images.
  """
  most = max(trials.sizes('samples', config.samples))
  tested = np.stack(
    [
      nodes_lib.few(config.seed + s, problem.labels, problem.split.target, most)
      for s in range(config.seeds)
    ]
  )
  free = np.setdiff1d(np.arange(len(problem.target)), tested)
  order = np.random.default_rng(config.tuning.seed).permutation(free)
  draws = config.tuning.draws + 1
  cut, count = draws * most, len(problem.held_out)
  if len(order) < cut + count:
    raise ValueError(
      f'{draws} draws of {most} for the tuning and {count} training images of '
      f'the target to measure against are {cut + count}; {len(order)} of '
      f'{len(problem.target)} are in no test: ask for fewer samples'
    )
  return Parts(tested, order[:cut].reshape(draws, most), order[cut:][:count])


# Latents of all curves: rates and steps are compared on the same ones.
LATENTS = 20_000
# What `stages` makes, in order.
NAMES = (
  'nodes', 'barycenter', 'mixture', 'refined', 'barycenter_paper', 'sequential',
)  # fmt: skip


def load(config: Any, text: str) -> Setting:
  """The setting of the name 'DATASET:SPLIT'.

  Raises:
    ValueError: no such data set or split, too few images.
  """
  resolved = pipeline(config, text)
  problem = problem_lib.load(resolved)
  try:
    rows = parts(config, problem)
  except ValueError as error:
    raise ValueError(f'{text}: {error}') from None
  return Setting(trials.word(text), resolved, problem, rows)


def pipeline(config: Any, text: str) -> Any:
  """The configuration of the pipeline for a setting."""
  dataset, colon, split = text.partition(':')
  if not colon:
    raise ValueError(f'setting {text!r} is not DATASET:SPLIT')
  nodes_lib.parse(split)
  made = config.shared.copy_and_resolve_references()
  with made.unlocked():
    made.dataset, made.split = dataset, split
    made.seed, made.seeds = config.seed, config.seeds
    # Of the pipeline; the trials draw their own.
    made.local_samples = nodes_lib.MIN_LOCAL
    made.adapt = {
      'augment': config.augment.get(dataset, ''),
      'held_out': config.budget.held_out,
    }
  return made


def stages(
  setting: Setting, work: workdir.Workspace
) -> dict[str, Callable[[], dict[str, Any]]]:
  """The trials that make what is shared, in order, by name."""
  config = setting.config
  count = len(setting.problem.nodes)
  keys = jax.random.split(jax.random.key(config.seed), config.seeds)

  def key(index: int) -> jax.Array:
    return jax.vmap(jax.random.fold_in, (0, None))(keys, index)

  def nodes_made() -> list[generator.Generator]:
    seeds = range(config.seeds)
    return [read(work, setting, f'node_{k}', seeds) for k in range(count)]

  def hooks(name: str) -> Any:
    made = work.hooks(None)
    return lambda part: made(f'{setting.name}-{name}-{part}')

  def done(
    name: str, part: str, made: list[generator.Generator], names: list[str]
  ) -> dict[str, Any]:
    for one, each in zip(made, names, strict=True):
      write(work, setting, each, one)
    work.clear(f'{setting.name}-{name}-{part}')
    return {
      'frechet': {
        n: scores(setting, m) for n, m in zip(names, made, strict=True)
      }
    }

  def nodes() -> dict[str, Any]:
    made, _ = pretraining.pretrain(
      key(1), setting.problem.nodes, setting.problem.spec,
      config=settings_lib.pretrain(config), hooks=hooks('nodes'),
    )  # fmt: skip
    return done('nodes', 'pretrain', made, [f'node_{k}' for k in range(count)])

  def barycenter(
    name: str, index: int, **changes: Any
  ) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
      made, _ = barycenter_lib.barycenter(
        key(index), nodes_made(),
        **{'method': config.barycenter.method, 'config': ours} | changes,
        hooks=hooks(name),
      )  # fmt: skip
      return done(name, 'barycenter', [made], [name])

    return run

  refined = settings_lib.barycenter(config)
  ours = dataclasses.replace(refined, fixed_samples=0, refine=None)
  paper = barycenter_lib.paper_code(ours.schedule.steps)
  game = dataclasses.replace(
    ours.game, gp_norm=paper.game.gp_norm, reuse_batch=paper.game.reuse_batch
  )
  # All of the weight on the last node: a transfer onwards to its samples.
  last = np.eye(count)[-1]
  return {
    'nodes': nodes,
    'barycenter': barycenter('barycenter', 2),
    'mixture': barycenter('mixture', 5, method='mixture'),
    'refined': barycenter('refined', 6, method='mixture', config=refined),
    'barycenter_paper': barycenter(
      'barycenter_paper',
      3,
      objective='w1',
      method='joint',
      config=dataclasses.replace(paper, game=game, schedule=ours.schedule),
    ),
    'sequential': barycenter(
      'sequential',
      4,
      method='mixture',
      weights=last,
      config=dataclasses.replace(ours, start=0),
    ),
  }


def scores(setting: Setting, made: generator.Generator) -> list[float]:
  """Squared Frechet distance of every member, to the held-out split."""
  return generators.frechet(
    made,
    setting.problem.reference,
    setting.config.evaluate.curve_samples,
    [jax.random.key(LATENTS)] * ensembles.count(made),
  )


def read(
  work: workdir.Workspace, setting: Setting, name: str, seeds: Any
) -> generator.Generator:
  """Members of these seeds as one generator, repeated where a seed is."""
  folder = _folder(work, setting)
  found = {s: bundle.load(ensembles.path(folder, name, s)) for s in set(seeds)}
  return ensembles.batched([found[s] for s in seeds])


def write(
  work: workdir.Workspace,
  setting: Setting,
  name: str,
  made: generator.Generator,
) -> None:
  """Keeps a generator of S members."""
  provenance = {
    'dataset': setting.config.dataset, 'split': setting.config.split,
    'stage': name, 'seed': str(setting.config.seed),
  }  # fmt: skip
  ensembles.write(_folder(work, setting), name, made, provenance)


def _folder(work: workdir.Workspace, setting: Setting) -> pathlib.Path:
  return work.path / 'bundles' / setting.name
