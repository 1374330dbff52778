"""W2 barycenters of samples, by methods that know no shape of the inputs.

  python -m experiments.barycenters.main --workdir=DIR
  python -m experiments.barycenters.main --workdir=DIR \
    --config.data_dir=FOLDER --config.dims='(64, 96)'

A trial is a problem and a seed. The problems of known maps are three Gaussians,
and three images of one distribution under bent maps
(`experiments.barycenters.problems`). All methods get the same samples, and are
scored on others:

  BW2-UVP: 100 times the squared Bures-Wasserstein distance between the moments
    of the points and those of the barycenter, over the trace of its covariance;
  L2-UVP: 100 times the mean squared error of the maps from the inputs to the
    barycenter, over the same trace.

BW2-UVP alone hardly tells a barycenter from the plain mixture of the inputs. In
the plane, moons, circles and a Swiss roll are matched, and scored by the
Sinkhorn divergence (epsilon 0.01) to the exact barycenter of `data_dir`.

`data_dir` is a folder of the published problems of TreeDSBM, Howard et al.,
https://arxiv.org/abs/2506.17197: `sampler_stats_64.json`,
`sampler_stats_96.json` and `2d_free_support_exact_barycenter.npy`. Without it
Gaussians are drawn, and there is no divergence.

`:quick` is a smoke test. Others: `--config.kinds="('bent',)"`,
`--config.plane=False`.
"""

import ml_collections

from coalesce_jax.pipeline import variants


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'.

  Raises:
    ValueError: another variant.
  """
  quick = variants.quick(variant)
  config = ml_collections.ConfigDict(
    {
      # Folder of published problems; '' is none.
      'data_dir': '',
      'seed': 0,
      # Trials of each problem.
      'seeds': 3,
      # Of `experiments.barycenters.problems`.
      'kinds': ('gaussians', 'bent'),
      'dims': (16, 64),
      # Of each input.
      'samples': 50_000,
      # Of each input, for the scores.
      'test': 10_000,
      # Hidden units of the potentials.
      'hidden': 64,
      'iterations': 100,
      'patience': 10,
      'particles': 2000,
      'particle_steps': 1000,
      # Rows that are left out.
      'without': (),
      # Whether the shapes of the plane are a problem.
      'plane': True,
      # Points of each shape.
      'points': 1500,
      # Inputs from which the points start, as controls of many starts.
      'single_starts': (0, 1, 2),
      'starts': 32,
      # Points that are matched from many starts.
      'few': 250,
    }
  )
  if quick:
    config.seeds, config.dims, config.samples, config.test = 2, (4,), 4000, 1000
    config.hidden, config.iterations, config.patience = 16, 20, 5
    config.particles, config.particle_steps = 200, 100
    config.points, config.starts, config.few = 100, 5, 40
  return config
