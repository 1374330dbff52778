"""What the anchor weight does with 20 local digits: an experiment to copy.

The anchor holds the adapted generator near the metamodel. Beside it stand the
metamodel as it is, which has seen no local sample and so copies none, and
transfer from the nearest node, which has no anchor.

  python -m experiments.template.main --workdir=DIR

It leaves `summary.json`, `tables.md` and `anchors.png`, after nine minutes on
two busy cores. Squared Frechet distances of three seeds:

  metamodel as it is     16.0 ± 1.2
  no anchor              31.1 ± 21.8
  anchor of .75          22.6 ± 1.2
  transfer               66.5 ± 6.5

The nodes together know this target: adaptation moves away from it, and the
anchor holds it back.

`:quick` is a smoke test. Others: `--config.anchors='(0.0,0.9)'`,
`--config.shared.seeds=5`.

To make an experiment of your own, copy this folder and its test, and change:

* here the settings. `shared` is the configuration of `coalesce run`, explained
  in `coalesce_jax/pipeline/defaults.py`;
* in `train.py` the report;
* in `main.py` the name, the line of help, and the plan, if `comparison` is not
  what you want. A plan names trials, functions that return JSON values. Each is
  run once and kept, so a stopped run goes on where it was.
  `experiments/ablations/train.py` has a plan of its own.

Methods are rows of `coalesce_jax/trials/methods.py`. A new method is a new row
there, and a recipe of a few lines.
"""

import ml_collections

from coalesce_jax.pipeline import defaults


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'."""
  shared = defaults.get_config()
  shared.local_samples, shared.seeds = 20, 3
  shared.network.width = shared.network.critic_width = 16
  shared.pretrain.steps, shared.barycenter.steps = 1500, 800
  defaults.shorten(shared, variant)
  steps, chunk = (20, 10) if variant else (150, 25)
  return ml_collections.ConfigDict(
    {
      # Rows of the table of methods; `anchors` are the variants of the last.
      'methods': ('barycenter', 'transfer', 'ours_midpoint'),
      'anchors': (0.0, 0.25, 0.5, 0.75, 0.9),
      # Of every method that learns.
      'budget': {'steps': steps, 'chunk': chunk, 'look_every': chunk},
      'shared': shared,
    }
  )
