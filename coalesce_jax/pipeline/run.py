"""The main job: from images at K nodes to a ternary generator at the edge.

Every stage of S seeds is one program. A stage that is done left its bundles in
the work folder and is not run again; one that was interrupted resumes from its
checkpoint to the same bits.

Shapes: K nodes, S seeds, N local samples.
"""

from collections.abc import Callable
import functools
import pathlib
import time
from typing import Any

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import pixels
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter
from coalesce_jax.methods import baselines
from coalesce_jax.methods import mixture
from coalesce_jax.methods import pretraining
from coalesce_jax.metrics import energy
from coalesce_jax.metrics import evaluate
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data as problem_lib
from coalesce_jax.pipeline import scores as scores_lib
from coalesce_jax.runs import report
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.training import loop

Generators = list[generator.Generator]


def run(
  config: Any, workdir: str, stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
  """Runs all stages, evaluates, writes the report.

  Args:
    config: see `pipeline/defaults.py`.
    workdir: folder of everything the run leaves behind.
    stop: whether a stop was asked for.

  Returns:
    The summary that the command prints: `workdir`, `report`, `frechet` and
    `frechet_std` by method, `bytes`, `seconds`.

  Raises:
    ValueError: bad settings or data; one line.
    driver.Interrupted: after a stop request, once the state is saved.
  """
  began = time.monotonic()
  resolved = config_lib.validate(config)
  problem = problem_lib.load(config)
  work = workdir_lib.open_workspace(
    workdir, config=resolved, stop=stop, tensorboard=config.tensorboard
  )
  made = train(config, problem, work)
  scores = scores_lib.score(config, problem, made, work, stop)
  paths = report.write(
    work.path,
    title=f'{config.dataset}, {config.split}, {config.local_samples} samples',
    rows=scores,
    grids=scores_lib.grids(problem, made),
    records=work.recorder.rows(None),
    config=resolved,
    label=evaluate.label(problem.reference, config.evaluate.samples),
  )
  work.recorder.close()
  summary = scores_lib.summarize(work.path, paths, scores, made, problem)
  summary['seconds'] = round(time.monotonic() - began, 1)
  files.write_json(work.path / 'summary.json', summary)
  return summary


def train(
  config: Any, problem: problem_lib.Problem, work: workdir_lib.Workspace
) -> dict[str, Generators]:
  """All stages; by method, one generator a seed (nodes: 'node_0', ...)."""
  keys = jax.random.split(jax.random.key(config.seed), config.seeds)
  fold = jax.vmap(jax.random.fold_in, (0, None))
  local = jnp.asarray(problem.local)
  made: dict[str, Generators] = {}

  def observe(part: str, step: int, params: Any) -> dict[str, Any]:
    del part, step
    return {'frechet': scores_lib.curve(config, problem, params)}

  def staged(
    names: list[str], fn: Callable[[loop.HooksFor], Generators], look: bool
  ) -> list[generator.Generator]:
    """Runs `fn`, or loads what it made; bundles batched over seeds."""
    missing = [
      p for n in names for p in _paths(work, n, config) if not p.is_file()
    ]
    if missing:
      began = time.monotonic()
      logging.info('stage %s', names[0])
      hooks = work.hooks(observe if look else None)
      for name, batched in zip(names, fn(hooks), strict=True):
        _save(work, name, batched, config, problem)
      for name in ['barycenter', *[f'barycenter_{k}' for k in range(1, 64)]]:
        if (
          names[0] == 'barycenter'
          and (work.path / 'checkpoints' / name).is_dir()
        ):
          work.clear(name)
      part = 'pretrain' if names[0].startswith('node_') else names[0]
      work.clear(part)
      work.recorder.log(
        f'{part}/time', 0, {'seconds': time.monotonic() - began}
      )
    for name in names:
      made[name] = [bundle.load(p) for p in _paths(work, name, config)]
    return [ensembles.batched(made[name]) for name in names]

  names = [f'node_{k}' for k in range(len(problem.nodes))]
  parts = staged(
    names,
    lambda hooks: pretraining.pretrain(
      fold(keys, 1), problem.nodes, problem.spec,
      config=config_lib.pretrain(config), hooks=hooks,
    )[0],
    False,
  )  # fmt: skip
  (meta,) = staged(
    ['barycenter'],
    lambda hooks: [
      barycenter.barycenter(
        fold(keys, 2), parts, method=config.barycenter.method,
        objective=config.barycenter.objective or None,
        config=config_lib.barycenter(config), hooks=hooks,
      )[0]
    ],
    False,
  )  # fmt: skip
  adapt = config_lib.adapt(config)
  plans: dict[str, Callable[[loop.HooksFor], generator.Generator]] = {
    'edge_only': lambda hooks: baselines.edge_only(
      fold(keys, 3), problem.spec, local, config=adapt, hooks=hooks
    )[0],
    'transfer': lambda hooks: baselines.transfer(
      fold(keys, 4), nearest_node(parts, local), local, config=adapt,
      hooks=hooks, rate=config.transfer.rate,
      freeze=tuple(config.transfer.freeze),
    )[0],
    'ensemble': lambda hooks: baselines.ensemble(
      fold(keys, 5), parts, local, config=adapt, hooks=hooks
    )[0],
    'model_average': lambda hooks: baselines.model_average(parts),
    'all_nodes': lambda hooks: mixture.mixture(
      parts, refine=config_lib.refine(config)
    ),
    'adapted': lambda hooks: adaptation.adapt(
      fold(keys, 6), meta, local, config=config_lib.adapted(config), hooks=hooks
    )[0],
  }  # fmt: skip
  for name, plan in plans.items():
    if name in config.methods or name == 'adapted':
      staged([name], functools.partial(_single, plan), True)
  if 'ternary' in config.methods:
    edge = ensembles.batched(made['adapted'])
    staged(
      ['ternary'],
      lambda hooks: [
        adaptation.ternarize(
          fold(keys, 7), edge, local, config=config_lib.ternary(config),
          hooks=hooks,
        )[0]
      ],
      True,
    )  # fmt: skip
  return made


def _single(
  plan: Callable[[loop.HooksFor], generator.Generator],
  hooks: loop.HooksFor,
) -> Generators:
  return [plan(hooks)]


def nearest_node(nodes: Generators, local: jax.Array) -> generator.Generator:
  """For each seed the node whose samples are nearest to the local ones.

  By energy distance in pixels, which an edge node can measure itself.
  """
  values = []
  for node in nodes:

    def distance(params, images, node=node):
      z = jax.random.normal(jax.random.key(0), (500, node.spec.latent_size))
      x = node.network.apply(params, z)
      return energy.energy_distance(pixels.decode(images), x)

    values.append(jax.jit(jax.vmap(distance))(node.params, local))
  best = np.asarray(jnp.argmin(jnp.stack(values), 0))

  def pick(*leaves):
    return jnp.stack([leaves[k][s] for s, k in enumerate(best)])

  return nodes[0]._replace(
    params=jax.tree.map(pick, *[m.params for m in nodes]),
    critic=jax.tree.map(pick, *[m.critic for m in nodes]),
  )


def _paths(
  work: workdir_lib.Workspace, name: str, config: Any
) -> list[pathlib.Path]:
  folder = work.path / 'bundles'
  return [ensembles.path(folder, name, s) for s in range(config.seeds)]


def _save(
  work: workdir_lib.Workspace,
  name: str,
  batched: generator.Generator,
  config: Any,
  problem: problem_lib.Problem,
) -> None:
  classes = problem.split.target
  if name.startswith('node_'):
    classes = problem.split.nodes[int(name.removeprefix('node_'))]
  ensembles.write(
    work.path / 'bundles',
    name,
    batched,
    {
      'dataset': config.dataset,
      'classes': ','.join(map(str, classes)),
      'stage': name,
      'seed': str(config.seed),
    },
  )
