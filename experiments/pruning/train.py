"""Trains large networks, makes them smaller, and scores both.

Shapes: S seeds.
"""

from collections.abc import Callable, Iterator
import dataclasses
import functools
import math
import pathlib
from typing import Any

import jax

from coalesce_jax.compress import macs
from coalesce_jax.compress import shrinking
from coalesce_jax.core import trees
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import problems
from coalesce_jax.models import bundle
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.pipeline import keys as keys_lib
from coalesce_jax.runs import records
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.trials import device
from coalesce_jax.trials import trials
from experiments.pruning import grounds
from experiments.pruning import settings
from experiments.pruning import subjects as subjects_lib


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials of a configuration, by name."""
  work = trials.workspace(workdir, config, stop)
  todo: dict[str, trials.Trial] = {}
  for name in settings.names(config):
    bench = Bench(config, work, name, workdir)
    todo[f'large-{name}'] = bench.large
    for share, method in settings.rows(config, name):
      todo[f'{name}-{method}-{round(100 * share)}'] = functools.partial(
        bench.small, method, share
      )
    for share, method in bench.ternaries():
      small = f'{name}-{method}-{round(100 * share)}'
      todo.setdefault(small, functools.partial(bench.small, method, share))
      todo[f'{small}-ternary'] = functools.partial(bench.ternary, method, share)
    if config.subjects[name].kind == 'latent':
      todo[f'{name}-times'] = bench.times
  return todo


class Bench:
  """A subject, loaded and trained when it is first needed."""

  def __init__(
    self, config: Any, work: workdir_lib.Workspace, name: str, workdir: str
  ):
    self.config, self.name = config, name
    self._bundles = pathlib.Path(workdir) / 'bundles'
    self._subject = config.subjects[name]
    self._hooks = work.hooks(None)
    self._keys = keys_lib.of_seeds(config.seed, config.seeds)
    self.ground = functools.cache(
      lambda: subjects_lib.make(config, self._subject)
    )
    self._trained = functools.cache(self._train)
    self._before = functools.cache(self._sampled)

  def _train(self) -> Any:
    """Trains the large networks, or reads them after they were trained."""
    ground = self.ground()
    return problems.train(
      self._keys,
      ground.problem(ground.specs, self._subject.steps),
      self._hooks(f'large_{self.name}'),
    )

  def _sampled(self, s: int) -> Any:
    ground = self.ground()
    params = trees.member(self._trained().params, s)
    return ground.sample(ground.specs, ground.parted(params))

  def large(self) -> dict[str, Any]:
    """Scores the large networks."""
    ground = self.ground()
    rows = [ground.scores(self._before(s)) for s in range(self.config.seeds)]
    for s in range(self.config.seeds):
      params = trees.member(self._trained().params, s)
      (first, *_), (own, *_) = ground.specs, ground.parted(params)
      large = generator_lib.Generator(first.build(), own, first)
      self._keep(f'large_s{s}', large)
    return self._result('large', [ground.specs] * len(rows), rows)

  def small(self, method: str, share: float) -> dict[str, Any]:
    """Makes smaller networks of all seeds, and scores them."""
    ground = self.ground()
    rows, specs = [], []
    for s, made in enumerate(self._shrunk(method, share)):
      specs.append(made.specs)
      samples = ground.sample(made.specs, made.params)
      rows.append(ground.scores(samples, self._before(s)))
      self._keep(
        f'{settings.stage(method, share)}_s{s}', _generator(made), critic=True
      )
    return self._result(method, specs, rows) | {'share': share}

  def times(self) -> dict[str, Any]:
    """Times the generators of the first seed that are kept, in turns."""
    found = {'large': bundle.load(self._kept('large_s0'))}
    for share, method in settings.rows(self.config, self.name):
      path = self._bundle(f'{settings.stage(method, share)}_s0')
      if path.is_file():
        found[settings.stage(method, share)] = bundle.load(path)
    # Networks of the same sizes take as long.
    first: dict[generator_lib.Spec, str] = {}
    for name, made in found.items():
      first.setdefault(_sizes(made.spec), name)
    measured = device.measure({
      name: (found[name].spec, found[name].params) for name in first.values()
    })  # fmt: skip
    spent = {
      batch: {
        name: each['milliseconds'][first[_sizes(made.spec)]]
        for name, made in found.items()
      }
      for batch, each in (measured or {}).items()
    }
    return records.plain({
      'subject': self.name, 'kind': self._subject.kind, 'method': 'times',
      'milliseconds': spent,
    })  # fmt: skip

  def ternaries(self) -> list[tuple[float, str]]:
    """Returns shares and methods whose networks become ternary."""
    if self._subject.kind != 'latent':
      return []
    return [
      (share, method)
      for share in self.config.ternary_shares
      for method in self.config.ternary_methods
    ]

  def ternary(self, method: str, share: float) -> dict[str, Any]:
    """Scores ternary copies of the smaller generators that were kept."""
    stage = settings.stage(method, share)
    rows = [self._ternarized(stage, s) for s in range(self.config.seeds)]
    return records.plain({
      'subject': self.name, 'kind': self._subject.kind, 'method': method,
      'share': share,
      'ternary': {name: [row[name] for row in rows] for name in rows[0]},
    })  # fmt: skip

  def _shrunk(self, method: str, share: float) -> Iterator[shrinking.Shrunk]:
    """Makes networks of all seeds smaller, in one program if shapes allow."""
    base = settings.base(method)
    config = settings.of_method(self.config, method)
    trained, many = self._trained(), self.config.seeds
    keys = jax.vmap(lambda key: jax.random.fold_in(key, 1))(self._keys)

    def shrink(key: Any, params: Any, critics: Any, stage: str) -> Any:
      steps = settings.steps(self._subject, method)
      whole = self.ground().whole(params, critics, steps)
      return shrinking.shrink(
        key, whole, share, method=base, config=config,
        hooks=self._staged(stage),
      )  # fmt: skip

    stage = settings.stage(method, share)
    if shrinking.together(base):
      made = shrink(keys, trained.params, trained.critics, stage)
      for s in range(many):
        yield made.member(s)
      return
    for s in range(many):
      critics = [trees.member(critic, s) for critic in trained.critics]
      params = trees.member(trained.params, s)
      yield shrink(keys[s], params, critics, f'{stage}_s{s}')

  def _ternarized(self, stage: str, s: int) -> dict[str, float]:
    """Scores the ternary copy of a smaller generator, and counts its bytes."""
    large, path = self._kept(f'large_s{s}'), self._kept(f'{stage}_s{s}')
    ground, small = self.ground(), bundle.load(path)
    spec = small.spec
    schedule = grounds.schedule(
      self._subject.ternary_steps, self.config.fast_compile
    )
    how = settings.ternarization(self.config, spec)
    ternary, _ = adaptation.ternarize(
      jax.random.fold_in(self._keys[s], 2), small, ground.images,
      config=dataclasses.replace(how, schedule=schedule),
      hooks=self._staged(f'{stage}_s{s}'),
    )  # fmt: skip
    self._keep(f'{stage}_ternary_s{s}', ternary)
    return {
      **ground.scores(ground.sample([spec], [ternary.params])),
      'bytes': len(bundle.encode(ternary, critic=False, packing='trits')),
      'large_bytes': large.stat().st_size,
    }

  def _bundle(self, name: str) -> pathlib.Path:
    return self._bundles / f'{self.name}_{name}.safetensors'

  def _kept(self, name: str) -> pathlib.Path:
    """Returns the path of a bundle that an earlier trial wrote.

    Raises:
      ValueError: it is missing.
    """
    path = self._bundle(name)
    if not path.is_file():
      raise ValueError(
        f'{path}: missing, and the trial that writes it is done; run the '
        'experiment in a new --workdir'
      )
    return path

  def _keep(
    self, name: str, made: generator_lib.Generator, critic: bool = False
  ) -> None:
    """Writes the bundle of a generator of latents."""
    if self._subject.kind == 'latent':
      bundle.save(self._bundle(name), made, critic=critic)

  def _staged(self, stage: str) -> Callable[[str], Any]:
    return lambda part: self._hooks(f'{self.name}_{stage}_{part}')

  def _result(self, method: str, specs: Any, rows: Any) -> dict[str, Any]:
    return records.plain({
      'subject': self.name,
      'kind': self._subject.kind,
      'method': method,
      'macs': [sum(map(macs.total, each)) for each in specs],
      'parameters': [sum(map(_parameters, each)) for each in specs],
      'scores': {k: [row[k] for row in rows] for k in rows[0]},
    })  # fmt: skip


def _generator(made: shrinking.Shrunk) -> generator_lib.Generator:
  """Returns the first of smaller networks."""
  spec = made.specs[0]
  return generator_lib.Generator(
    spec.build(), made.params[0], spec, made.critics[0]
  )


def _sizes(spec: generator_lib.Spec) -> generator_lib.Spec:
  """Returns the spec without what does not change the network."""
  return dataclasses.replace(spec, provenance={}, encodings={})


def _parameters(spec: generator_lib.Spec) -> int:
  shapes = jax.eval_shape(spec.build().init, jax.random.key(0))
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
