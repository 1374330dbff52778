"""How the rows are made: pretrained, narrowed, by a method, and scored.

Shapes: S seeds.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.data import partition
from coalesce_jax.methods import adaptation
from coalesce_jax.metrics import generators
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data
from coalesce_jax.pipeline import keys
from coalesce_jax.pipeline import recipes
from coalesce_jax.pipeline import stages as stages_lib
from coalesce_jax.runs import workdir
from coalesce_jax.transforms import ternary as ternary_lib
from coalesce_jax.trials import methods
from coalesce_jax.trials import names as names_lib
from coalesce_jax.trials import recipes as trial_recipes
from coalesce_jax.trials import selection
from experiments.ternary import variants

Load = Callable[[str], data.Problem]


def float_name(dataset: str) -> str:
  """Of the trial, and of its bundles; so below."""
  return f'float-{names_lib.word(dataset)}'


def row_name(dataset: str, name: str) -> str:
  return f'row-{names_lib.word(dataset)}-{name}'


def narrow_name(dataset: str, times: float) -> str:
  return f'narrow-{names_lib.word(dataset)}-{times:g}'


def narrowed(spec: generator.Spec, size: int) -> generator.Spec:
  """The narrowest generator whose float bundle has at least `size` bytes.

  Its critic, which does not ship, stays as wide as it was.

  Raises:
    ValueError: none of up to the width of `spec` has as many.
  """
  options = dict(spec.options)
  for width in range(1, options['width'] + 1):
    made = dataclasses.replace(
      spec, options=generator.freeze(options | {'width': width})
    )
    shapes = jax.eval_shape(made.build().init, jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    if bundle.size_bytes(generator.create(made, zeros)) >= size:
      return made
  raise ValueError(f'no width up to {options["width"]} has {size} bytes')


def pipeline(config: Any, dataset: str, changes: Mapping[str, Any]) -> Any:
  """Returns the configuration of the pipeline for a data set.

  All classes are of one node, and of the target.

  Args:
    config: of the experiment.
    dataset: its name.
    changes: of fields, by path.
  """
  fields = {
    'dataset': dataset, 'split': '0-9->0-9',
    # Drawn, and not used.
    'local_samples': partition.MIN_LOCAL,
  }  # fmt: skip
  return config_lib.override(config.shared, fields | dict(changes))


def settings(config: Any, dataset: str, variant: variants.Variant) -> Any:
  """Returns the configuration of the pipeline for a row."""
  changes = {f'ternary.{name}': v for name, v in variant.changes.items()}
  return pipeline(config, dataset, changes)


def training(
  config: Any, resolved: Any, variant: variants.Variant
) -> adaptation.Config:
  """Settings of ternarization, or of as long a training in float."""
  found = config_lib.ternary(resolved)
  schedule = dataclasses.replace(
    found.schedule, observe_every=config.look_every
  )
  ternary = found.ternary if variant.ternary else None
  return dataclasses.replace(found, schedule=schedule, ternary=ternary)


def _read(config: Any, work: workdir.Workspace, dataset: str) -> Any:
  return ensembles.read(
    work.path / 'bundles', float_name(dataset), config.shared.seeds
  )


def _pretrained(config, work, problem, spec, part, number, steps):
  """A generator of S seeds, on all training images."""
  resolved = pipeline(config, config.datasets[0], {'pretrain.steps': steps})
  hooks = work.hooks(None)
  stage = stages_lib.TABLE['pretrain']._replace(number=number)
  (found,) = stage.run(
    resolved,
    dataclasses.replace(problem, nodes=[problem.target], spec=spec), {},
    lambda name: hooks(f'{part}-{name}'),
  )  # fmt: skip
  return found


def make_float(
  config: Any, work: workdir.Workspace, load: Load, dataset: str
) -> dict[str, Any]:
  """The trial of a float generator: all rows but the narrow ones start here."""
  problem, part = load(dataset), float_name(dataset)
  made = _pretrained(
    config, work, problem, problem.spec, part, 1, config.shared.pretrain.steps
  )
  ensembles.write(work.path / 'bundles', part, made, {'dataset': dataset})
  work.clear(f'{part}-pretrain')
  return {'frechet': _scores(config, problem, made)['frechet']}


def make_narrow(
  config: Any,
  work: workdir.Workspace,
  load: Load,
  dataset: str,
  times: float,
) -> dict[str, Any]:
  """The trial of a float generator of so many times the packed bytes."""
  problem, part = load(dataset), narrow_name(dataset, times)
  # As many bytes as the packed form of the float generator.
  first = ensembles.member(_read(config, work, dataset), 0)
  how = config_lib.scheme(pipeline(config, dataset, {}))
  packed = bundle.size_bytes(trial_recipes.ternarize_untrained(first, how))
  spec = narrowed(problem.spec, round(times * packed))
  # As long as a float generator and what is made of it together.
  steps = config.shared.pretrain.steps + config.shared.ternary.steps
  made = _pretrained(config, work, problem, spec, part, 2, steps)
  ensembles.write(work.path / 'bundles', part, made, {'dataset': dataset})
  work.clear(f'{part}-pretrain')
  return {
    'width': dict(spec.options)['width'],
    'scores': _scores(config, problem, made),
    'bytes': bundle.size_bytes(ensembles.member(made, 0)),
  }


def make_row(
  config: Any, work: workdir.Workspace, load: Load, dataset: str, name: str
) -> dict[str, Any]:
  """The trial of a variant."""
  problem, variant = load(dataset), variants.TABLE[name]
  method = methods.TABLE[variants.METHODS[variant.kind]]
  part = row_name(dataset, name)
  resolved = settings(config, dataset, variant)
  run = recipes.Run(
    key=keys.of_stage(config.shared.seed, config.shared.seeds, 3),
    problem=problem,
    local=None,
    config=training(config, resolved, variant),
    settings=resolved,
    nodes=[_read(config, work, dataset)],
  )
  result: dict[str, Any] = {}
  if method.trains:
    made, result = _best_trained(config, work, method, run, part)
    ensembles.write(work.path / 'bundles', part, made, {'dataset': dataset})
    for rate in config.rates:
      work.clear(_at(part, rate))
  else:
    made = method.recipe(run)
  result['scores'] = _scores(config, problem, made)
  one = ensembles.member(made, 0)
  result['bytes'] = method.size(one, resolved)
  if 'ternary' in one.spec.encodings:
    result['bytes_trits'] = bundle.size_bytes(one, 'trits')
    result['sparsity'] = ternary_lib.summary(
      one.params, one.spec.encodings['ternary']['leaves']
    )
  return result


def _at(part: str, rate: float) -> str:
  return f'{part}-rate_{rate:g}'


def _best_trained(config, work, method, run, part):
  """Trained at the rate that is selected, against training images."""
  problem = run.problem
  order = np.random.default_rng(config.shared.seed).permutation(
    len(problem.target)
  )
  known = problem.training_reference(order[: len(problem.held_out)])
  latents = [jax.random.key(30_000)] * config.shared.seeds
  steps, trained = run.config.schedule.steps, {}
  frechet: dict[selection.Rates, dict[int, float]] = {}
  for rate in config.rates:
    made, curve = _trained(
      config, work, method, recipes.change(run, rate=rate), _at(part, rate)
    )
    scores = generators.frechet(
      made, known, config.shared.evaluate.curve_samples, latents
    )
    frechet[rate, 1.0] = {steps: float(np.mean(scores))}
    trained[rate] = made, curve
  rate = selection.select(frechet)['rate']
  made, curve = trained[rate]
  tried = {f'{each:g}': row[steps] for (each, _), row in frechet.items()}
  return made, {'rate': rate, 'rates': tried, 'curve': curve}


def _trained(config, work, method, run, part):
  """Trained on all training images, with curves of every seed."""
  latents = [jax.random.key(20_000)] * config.shared.seeds
  thresholds: dict[str, float] = {}

  def latent(step: int, state: Any) -> None:
    del step
    if run.config.ternary is None:
      return
    seen = jax.vmap(ternary_lib.thresholds)(state.ema)
    thresholds.update(
      {f'threshold/{k}': float(jnp.mean(v)) for k, v in seen.items()}
    )

  def look(name: str, step: int, params: Any) -> dict[str, Any]:
    del name, step
    one = run.nodes[0]._replace(params=params, critic=None)
    found = generators.frechet(
      one, run.problem.reference, config.shared.evaluate.curve_samples, latents
    )
    return {'frechet': np.asarray(found), **thresholds, **_sparsity(params)}

  def _sparsity(params: Any) -> dict[str, float]:
    if run.config.ternary is None:
      return {}
    return ternary_lib.summary(params, run.config.ternary.leaves)

  hooks = work.hooks(look)
  made = method.recipe(
    run._replace(hooks=lambda name: hooks(part)._replace(observe_state=latent))
  )
  return made, work.recorder.rows(f'{part}/curve')


def _scores(
  config: Any, problem: data.Problem, made: generator.Generator
) -> dict[str, list[float]]:
  return generators.scores(
    made, problem.reference, config.shared.evaluate.samples
  )
