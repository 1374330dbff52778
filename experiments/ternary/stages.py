"""How the rows are made: pretrained, narrowed, rounded, ternarized, judged.

Shapes: S seeds.
"""

from collections.abc import Callable
import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.data import partition as nodes_lib
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import pretraining
from coalesce_jax.metrics import generators
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data as problem_lib
from coalesce_jax.runs import workdir
from coalesce_jax.transforms import int8
from coalesce_jax.transforms import ternary as ternary_lib
from coalesce_jax.trials import trials
from experiments.ternary import variants

Load = Callable[[str], problem_lib.Problem]


def float_name(dataset: str) -> str:
  """Of the trial, and of its bundles; so below."""
  return f'float-{trials.word(dataset)}'


def row_name(dataset: str, name: str) -> str:
  return f'row-{trials.word(dataset)}-{name}'


def narrow_name(dataset: str, times: float) -> str:
  return f'narrow-{trials.word(dataset)}-{times:g}'


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


def pipeline(config: Any, dataset: str) -> Any:
  """The settings of the pipeline for a data set, all of one node."""
  made = config.shared.copy_and_resolve_references()
  with made.unlocked():
    made.dataset, made.split = dataset, '0-9->0-9'
    # Drawn, and not used.
    made.local_samples = nodes_lib.MIN_LOCAL
  return made


def ternarization(
  config: Any, made: Any, variant: variants.Variant
) -> adaptation.Config:
  """Settings of ternarization, or of as long a training in float."""
  made = made.copy_and_resolve_references()
  made.ternary.update(dict(variant.changes))
  found = config_lib.ternary(made)
  schedule = dataclasses.replace(
    found.schedule, observe_every=config.look_every
  )
  found = dataclasses.replace(found, schedule=schedule)
  if variant.kind == 'longer':
    found = dataclasses.replace(found, ternary=None)
  return found


def _keys(config: Any, index: int) -> jax.Array:
  seeds = jax.random.split(
    jax.random.key(config.shared.seed), config.shared.seeds
  )
  return jax.vmap(jax.random.fold_in, (0, None))(seeds, index)


def _read(config: Any, work: workdir.Workspace, dataset: str) -> Any:
  return ensembles.read(
    work.path / 'bundles', float_name(dataset), config.shared.seeds
  )


def _pretrained(config, work, problem, spec, part, index, steps):
  """A generator of S members, on all training images."""
  made = pipeline(config, config.datasets[0])
  made.pretrain.steps = steps
  hooks = work.hooks(None)
  (found,), _ = pretraining.pretrain(
    _keys(config, index), [problem.target], spec,
    config=config_lib.pretrain(made),
    hooks=lambda name: hooks(f'{part}-{name}'),
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
  packed = bundle.size_bytes(
    _afterwards(first, config_lib.ternary(pipeline(config, dataset)).ternary)
  )
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
  part = row_name(dataset, name)
  start = _read(config, work, dataset)
  settled = ternarization(config, pipeline(config, dataset), variant)
  result: dict[str, Any] = {}
  size: Callable[[generator.Generator], int] = bundle.size_bytes
  if variant.kind == 'float':
    made = start
  elif variant.kind == '8 bits':
    assert settled.ternary is not None
    leaves = settled.ternary.leaves
    params = jax.vmap(lambda p: int8.rounded(p, leaves))(start.params)
    made = start._replace(params=params)
    size = functools.partial(_bytes_of_8_bits, leaves=leaves)
  elif variant.kind == 'afterwards':
    made = ensembles.batched(
      [
        _afterwards(ensembles.member(start, s), settled.ternary)
        for s in range(config.shared.seeds)
      ]
    )
  else:
    made, more = _best_trained(config, work, problem, start, settled, part)
    result |= more
  result['scores'] = _scores(config, problem, made)
  one = ensembles.member(made, 0)
  result['bytes'] = size(one)
  if 'ternary' in one.spec.encodings:
    result['bytes_trits'] = bundle.size_bytes(one, 'trits')
    result['sparsity'] = ternary_lib.summary(
      one.params, one.spec.encodings['ternary']['leaves']
    )
  if variant.kind in ('trained', 'longer'):
    ensembles.write(work.path / 'bundles', part, made, {'dataset': dataset})
    for rate in config.rates:
      work.clear(_at(part, rate))
  return result


def _afterwards(made: generator.Generator, how: Any) -> generator.Generator:
  """Ternary without training: where training would start."""
  described = {
    'scheme': how.scheme, 'granularity': how.granularity, 'leaves': how.leaves
  }  # fmt: skip
  transform = ternary_lib.ternary(
    **described, threshold_init=how.threshold_init
  )
  params = transform.apply(transform.init(jax.random.key(0), made.params))
  spec = dataclasses.replace(
    made.spec,
    encodings={'ternary': ternary_lib.describe(params, **described)},
  )
  return made._replace(params=params, spec=spec)


def _bytes_of_8_bits(made: generator.Generator, leaves: Any) -> int:
  """A byte a weight and a float a channel; counted, nothing writes it."""
  flat = trees.flatten(made.params)
  shapes = [flat[name].shape for name in ternary_lib.selected(flat, leaves)]
  saved = sum(3 * math.prod(shape) - 4 * shape[-1] for shape in shapes)
  return bundle.size_bytes(made) - saved


def _at(part: str, rate: float) -> str:
  return f'{part}-rate_{rate:g}'


def _best_trained(config, work, problem, start, settled, part):
  """Trained at the rate of the best score against training images."""
  order = np.random.default_rng(config.shared.seed).permutation(
    len(problem.target)
  )
  known = problem.known(order[: len(problem.held_out)])
  latents = [jax.random.key(30_000)] * config.shared.seeds
  found = {}
  for rate in config.rates:
    made, curve = _trained(
      config, work, problem, start,
      dataclasses.replace(settled, rate=rate), _at(part, rate),
    )  # fmt: skip
    scores = generators.frechet(
      made, known, config.shared.evaluate.curve_samples, latents
    )
    found[rate] = float(np.mean(scores)), made, curve
  rate = min(found, key=lambda rate: found[rate][0])
  _, made, curve = found[rate]
  tried = {f'{each:g}': score for each, (score, _, _) in found.items()}
  return made, {'rate': rate, 'rates': tried, 'curve': curve}


def _trained(config, work, problem, start, settled, part):
  """Trained on all training images, with curves of every seed."""
  images = jnp.broadcast_to(
    jnp.asarray(problem.target), (config.shared.seeds, *problem.target.shape)
  )
  latents = [jax.random.key(20_000)] * config.shared.seeds
  thresholds: dict[str, float] = {}

  def latent(step: int, values: Any) -> None:
    del step
    seen = jax.vmap(ternary_lib.thresholds)(values)
    thresholds.update(
      {f'threshold/{k}': float(jnp.mean(v)) for k, v in seen.items()}
    )

  def look(name: str, step: int, params: Any) -> dict[str, Any]:
    del name, step
    one = start._replace(params=params, critic=None)
    found = generators.frechet(
      one, problem.reference, config.shared.evaluate.curve_samples, latents
    )
    return {'frechet': np.asarray(found), **thresholds, **_sparsity(params)}

  def _sparsity(params: Any) -> dict[str, float]:
    if settled.ternary is None:
      return {}
    return ternary_lib.summary(params, settled.ternary.leaves)

  hooks = work.hooks(look)
  made, _ = adaptation.adapt(
    _keys(config, 3), start, images, config=settled,
    hooks=lambda name: hooks(part)._replace(observe_latent=latent),
  )  # fmt: skip
  return made, work.recorder.rows(f'{part}/curve')


def _scores(
  config: Any, problem: problem_lib.Problem, made: generator.Generator
) -> dict[str, list[float]]:
  return generators.scores(
    made, problem.reference, config.shared.evaluate.samples
  )
