r"""A minority of corrupted nodes: how far it moves a barycenter (T9).

Clean nodes hold most of one set of real images of digits. The last m of K
nodes are replaced by another data set (patches of photographs), noise, digits
moved far away, or one and the same law m times. A node's law is that of its
atoms, so that the move of the mixture of all nodes is known exactly,

.. math::
  W_1(\mathrm{mix}, \mathrm{mix}')
    = \frac{m}{K} W_1(\text{bad}, \text{replaced}),

because W1 depends on the difference of two laws only; the move of a
barycenter is bounded from above by clouds of shared latents. So a ratio is
larger here than in truth.

The nodes agree, as nodes of one domain do: a median of laws that are far from
each other moves more. Were clean nodes disjoint sets of 250 digits, 3 apart
where corruption is 7 away, three of seven would move a median by .4 of what
they move the mixture.

Shapes: K nodes, P atoms of a node, D = 64 pixels, S scenarios and seeds.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import datasets

from coalesce_jax.ot import exact
from experiments.ground_truth import estimators
from experiments.ground_truth import laws
from experiments.ground_truth import solving

SIDE = 8
# Of each node, out of one pool.
ATOMS = 400
POOL = 500
FAR = 30.0
KINDS = ('another data set', 'noise', 'far', 'identical')
# Of what the mixture moves.
LIMIT = 1.0 / 3.0


class Scenario(NamedTuple):
  """Atoms of all nodes, `[K, P, D]`, the last `bad` of them corrupted."""

  kind: str
  bad: int
  atoms: np.ndarray


def measure(
  nodes: int, objective: str, config: Any, stop: Callable[[], bool]
) -> dict[str, Any]:
  """All scenarios of K nodes as one program: rows."""
  scenarios = make(nodes, config.robustness.cases, config.seed)
  options = solving.law_options(config)
  center = scenarios[0].atoms.mean((0, 1))
  keys = jax.random.split(jax.random.key(config.seed), config.seeds)
  order = [(i, s) for i in range(len(scenarios)) for s in range(config.seeds)]
  members = []
  for k in range(nodes):
    family = [
      laws.law(
        laws.atoms,
        {
          'points': np.float32(scenario.atoms[k]),
          'histogram': np.full(ATOMS, 1.0 / ATOMS, np.float32),
        },
        SIDE * SIDE,
        center=center,
        scale=0.6,
        **options,
      )
      for scenario in scenarios
    ]
    params = jax.tree.map(
      lambda *leaves: jnp.stack(leaves), *[family[i].params for i, _ in order]
    )
    members.append(family[0]._replace(params=params))
  made, _, seconds = solving.barycenter(
    members, np.full(nodes, 1.0 / nodes), config, stop,
    method='joint', objective=objective,
    keys=jnp.stack([keys[s] for _, s in order]),
    learning_rate=config.robustness.rates[objective],
    steps=config.robustness.steps,
  )  # fmt: skip
  moved = np.zeros((len(scenarios), config.seeds))
  for (i, s), one in zip(order, made, strict=True):
    key = jax.random.key(config.seed + 41 + s)
    moved[i, s] = estimators.above(one, made[s], key)
  rows = []
  for i, scenario in enumerate(scenarios):
    if not scenario.bad:
      continue
    rows.append(
      {
        'truth': 'T9',
        'objective': objective,
        'K': nodes,
        'corrupted': scenario.bad,
        'kind': scenario.kind,
        'moved': float(moved[i].max()),
        'seeds': moved[i].tolist(),
        'mixture_moved': mixture_moved(
          scenario.atoms, scenarios[0].atoms, scenario.bad
        ),
        'model_average_moved': average_moved(
          scenario.atoms, scenarios[0].atoms
        ),
      }  # fmt: skip
    )
  return {'rows': rows, 'training_seconds': seconds}


def make(nodes: int, cases: Any, seed: int) -> list[Scenario]:
  """The clean nodes first, then every corruption of them."""
  rng = np.random.default_rng([seed, nodes])
  digits = datasets.load_digits().data / 8.0 - 1.0
  pool = digits[rng.permutation(len(digits))[:POOL]]
  clean = np.stack([pool[rng.permutation(POOL)[:ATOMS]] for _ in range(nodes)])
  patches = photographs(rng, nodes * ATOMS).reshape(clean.shape)
  noise = rng.uniform(-1.0, 1.0, clean.shape)
  away = rng.normal(size=clean.shape[2:])
  away *= FAR / np.linalg.norm(away)
  found = [Scenario('clean', 0, clean)]
  for of, bad in cases:
    if of != nodes:
      continue
    if not 0 < bad < of / 2:
      raise ValueError(f'robustness.cases: {bad} of {of} is no minority')
    for kind in KINDS:
      atoms = clean.copy()
      atoms[-bad:] = {
        'another data set': patches[-bad:],
        'noise': noise[-bad:],
        'far': clean[-bad:] + away[None, None],
        'identical': -clean[-1:],
      }[kind]
      found.append(Scenario(kind, bad, atoms))
  return found


def photographs(rng: np.random.Generator, count: int) -> np.ndarray:
  """Grey patches of two photographs, `[count, 64]` in [-1, 1]."""
  images = [
    np.asarray(image).mean(-1) / 127.5 - 1.0
    for image in datasets.load_sample_images().images
  ]
  patches = []
  for i in range(count):
    image = images[i % len(images)]
    top = rng.integers(image.shape[0] - SIDE)
    left = rng.integers(image.shape[1] - SIDE)
    patches.append(image[top : top + SIDE, left : left + SIDE].reshape(-1))
  return np.stack(patches)


def mixture_moved(atoms: np.ndarray, clean: np.ndarray, bad: int) -> float:
  """Exact W1 of two mixtures of nodes, `[K, P, D]`, the last `bad` unlike."""
  x, y = (a[-bad:].reshape(-1, a.shape[2]) for a in (atoms, clean))
  return bad / len(atoms) * exact.w1(x, y)


def average_moved(atoms: np.ndarray, clean: np.ndarray) -> float:
  """How far the mean of the generator of averaged parameters moved."""
  return float(np.linalg.norm(atoms.mean((0, 1)) - clean.mean((0, 1))))


def judge(rows: list[dict[str, Any]]) -> None:
  """Adds `ratio`, the larger move in shares of the mixture's, and `passed`."""
  for row in rows:
    row['ratio'] = row['moved'] / row['mixture_moved']
    limited = row['objective'] == 'w1'
    row['passed'] = row['ratio'] <= LIMIT if limited else None
