"""Computes W2 barycenters of samples by several methods, and scores them.

Shapes: J inputs, N samples of each, D dimensions.
"""

from collections.abc import Callable
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry import pointcloud
from ott.tools import sinkhorn_divergence

from coalesce_jax.gan import sources
from coalesce_jax.methods import learned_particles
from coalesce_jax.methods import particles
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.ot import congruent
from coalesce_jax.ot import congruent_fitting
from coalesce_jax.ot import matched_barycenters
from coalesce_jax.ot import sampling
from coalesce_jax.pipeline import fields
from coalesce_jax.pipeline import keys as keys_lib
from coalesce_jax.training import loop
from coalesce_jax.trials import timing
from coalesce_jax.trials import trials
from experiments.barycenters import problems

REFERENCE = '2d_free_support_exact_barycenter.npy'
_EPSILON = 0.01
_COUNTS = (
  'seeds', 'samples', 'test', 'hidden', 'iterations', 'patience', 'starts',
  'few', 'points', 'particles', 'particle_steps',
)  # fmt: skip


def validate(config: Any) -> None:
  """Checks the settings before anything is done.

  Raises:
    ValueError: one line.
  """
  for kind in config.kinds:
    if kind not in problems.KINDS:
      raise ValueError(f'kinds: {kind!r} is not one of {problems.KINDS}')
  fields.positive(config, *_COUNTS)
  if config.dims and config.samples <= 2 * max(config.dims):
    raise ValueError(
      f'samples {config.samples}: too few for {max(config.dims)} dimensions'
    )
  if config.data_dir:
    folder = pathlib.Path(config.data_dir)
    if config.plane:
      _reference(folder)
    if 'gaussians' in config.kinds:
      for dimension in config.dims:
        problems.make(
          'gaussians', dimension, np.random.default_rng(0), config.data_dir
        )
  keys_lib.check(config.seed)


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials of a configuration, by name."""
  del workdir, stop
  found: dict[str, trials.Trial] = {}
  for k in range(config.seeds):
    for kind in config.kinds:
      for dimension in config.dims:
        found[f'{kind}_{dimension}_seed_{k}'] = functools.partial(
          known_maps, config, kind, dimension, k
        )
    if config.plane:
      found[f'plane_seed_{k}'] = functools.partial(plane, config, k)
  return found


def known_maps(
  config: Any, kind: str, dimension: int, number: int
) -> dict[str, Any]:
  """Scores all methods on a problem of known maps."""
  rng = np.random.default_rng([config.seed, number, dimension])
  problem = problems.make(kind, dimension, rng, config.data_dir)
  samples, _ = problem.pairs(rng, config.samples)
  tested, truth = problem.pairs(rng, config.test)
  key = jax.random.fold_in(jax.random.key(config.seed), number)
  fit = functools.partial(
    congruent_fitting.fit, key, samples, problem.weights,
    iterations=config.iterations, patience=config.patience,
  )  # fmt: skip
  rows: dict[str, dict[str, Any]] = {}

  def score(name: str, points: np.ndarray, **more: Any) -> None:
    counts = rng.multinomial(len(points[0]), problem.weights)
    pooled = np.concatenate(
      [p[:n] for p, n in zip(points, counts, strict=True)]
    )
    rows[name] = {
      'moments': problems.of_moments(pooled, problem),
      'maps': problems.unexplained(points, truth, problem),
      **more,
    }

  score('plain mixture', tested)
  mean = np.einsum('j,jnd->nd', problem.weights, tested)
  score('independent means', np.stack([mean] * len(tested)))
  for name, options in (
    ('maps of the moments', {'hidden': 0}),
    ('potentials', {'hidden': config.hidden}),
    ('potentials from the identity',
     {'hidden': config.hidden, 'moments': False}),
  ):  # fmt: skip
    if name in config.without:
      continue
    found, spent = timing.once(functools.partial(fit, **options))
    made = congruent.to_barycenter(found.potentials, tested)
    score(
      name, np.asarray(made.points, np.float64), **spent,
      iterations=len(found.values), residual=made.residual,
      gain=float(found.held_out.min(initial=0.0)),
    )  # fmt: skip
  if 'particles' not in config.without:
    _particles(config, key, samples, problem, rows)
  return {'rows': rows}


def _particles(
  config: Any,
  key: jax.Array,
  samples: np.ndarray,
  problem: problems.Problem,
  rows: dict[str, dict[str, Any]],
) -> None:
  """Adds rows of particles, by how their scores are estimated."""
  few = samples[:, : config.particles].astype(np.float32)
  steps = config.particle_steps
  methods: dict[str, Callable[[], sampling.Particles]] = {
    'Gaussian scores': lambda: sampling.of_gaussians(
      key, samples.mean(1), np.stack([np.cov(x.T, bias=True) for x in samples]),
      problem.weights, count=config.particles, steps=steps,
    ),
    'kernel scores': lambda: sampling.of_samples(
      key, few, problem.weights, bandwidth=particles.kernel_width(few),
      steps=steps,
    ),
    'critics': lambda: _by_critics(config, key, samples, few, problem.weights),
  }  # fmt: skip
  for name, method in methods.items():
    if f'particles, {name}' in config.without:
      continue
    found, spent = timing.once(method)
    points = np.asarray(found.barycenter, np.float64)
    row = {
      'moments': problems.of_moments(points, problem), **spent,
      'spread': float(found.spread[-1]),
    }  # fmt: skip
    if problem.maps is not None:
      # Maps are known at the particles, and nowhere else.
      at = np.asarray(found.inputs, np.float64).swapaxes(0, 1)
      row['maps'] = problems.unexplained(
        np.stack([points] * len(at)), problem.maps(at), problem
      )
    rows[f'particles, {name}'] = row


def _by_critics(
  config: Any,
  key: jax.Array,
  samples: np.ndarray,
  start: np.ndarray,
  weights: np.ndarray,
) -> sampling.Particles:
  """Moves particles by critics, which see all samples."""
  size = samples.shape[2]
  hidden = generator_lib.freeze({'hidden': (config.hidden,) * 2})
  spec = generator_lib.Spec('mlp', size, (size,), hidden, 'mlp', hidden)
  critic = spec.build_critic()
  return learned_particles.flow(
    key, [sources.array(jnp.asarray(x, jnp.float32)) for x in samples],
    jnp.asarray(start), critic,
    jax.vmap(critic.init)(jax.random.split(key, len(samples))),
    jnp.asarray(weights, jnp.float32), alpha=10.0,
    noise=particles.noise(start),
    schedule=loop.Schedule(
      config.particle_steps, loop.chunk_of(config.particle_steps, 50)
    ),
    config=learned_particles.Config(batch_size=256),
  )  # fmt: skip


def plane(config: Any, number: int) -> dict[str, Any]:
  """Scores all methods on the shapes of the plane."""
  rng = np.random.default_rng([config.seed, number])
  x = problems.shapes(rng, config.points)
  reference = None
  if config.data_dir:
    reference = _reference(pathlib.Path(config.data_dir))
  rows: dict[str, dict[str, Any]] = {}

  def score(name: str, points: np.ndarray, **more: Any) -> None:
    rows[name] = {**more}
    if reference is not None:
      rows[name]['divergence'] = divergence(points, reference)

  pooled = x.reshape(-1, 2)
  score('plain mixture', rng.permutation(pooled)[: config.points])
  score('independent means', x.mean(0))
  methods: dict[str, Callable[[], matched_barycenters.Matched]] = {
    f'start at input {j}': functools.partial(
      matched_barycenters.fixed_point, x, start=j
    )
    for j in config.single_starts
  }
  methods['many starts'] = functools.partial(
    matched_barycenters.of_many_starts, int(rng.integers(1 << 31)), x,
    starts=config.starts, few=config.few,
  )  # fmt: skip
  for name, method in methods.items():
    found, spent = timing.once(method)
    score(
      name, found.points, value=found.value, iterations=found.iterations,
      converged=found.converged, **spent,
    )  # fmt: skip
  return {'rows': rows}


def divergence(points: np.ndarray, reference: np.ndarray) -> float:
  """Returns the Sinkhorn divergence at epsilon 0.01, in squared units."""
  with jax.numpy_rank_promotion('allow'):
    found, _ = sinkhorn_divergence.sinkhorn_divergence(
      pointcloud.PointCloud, *(jnp.asarray(p, jnp.float32) for p in
      (points, reference)), epsilon=_EPSILON,
    )  # fmt: skip
  return float(getattr(found, 'divergence', found))


def _reference(folder: pathlib.Path) -> np.ndarray:
  try:
    found = np.load(folder / REFERENCE, allow_pickle=False)
  except (OSError, ValueError) as error:
    raise ValueError(f'data_dir: no {REFERENCE} in it: {error}') from error
  if found.ndim != 2 or found.shape[1] != 2:
    raise ValueError(f'data_dir: {REFERENCE} has shape {found.shape}')
  return found
