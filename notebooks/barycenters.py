# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which barycenter? Four answers, and a corrupted node
#
# Several nodes share generators. A *barycenter* combines them in one
# distribution, and there are several ways to say what that means. Here the
# samples are points of the plane, so that everything can be drawn, and exact
# answers are known. We learn the median, the mean, the mixture and the ball.
# Then we replace one node by a corrupted one, and look at which of the four
# still give a useful answer.
#
# To run it in Colab, upload [barycenters.ipynb](barycenters.ipynb) there.
# [Concepts](../docs/concepts.md) explains the three steps of the method.

# %%
import sys

if 'google.colab' in sys.modules:
  # %pip install -q coalesce_jax
  print('The package is installed.')

QUICK = False  # True takes a few steps only, to see that everything runs.
GAME = {'batch_size': 8, 'critic_steps': 1} if QUICK else {}

# %% [markdown]
# ## Data
#
# Each node is a normal distribution with standard deviation 0.5. Its generator
# is an affine map of the latents: a perceptron ('mlp') without hidden layers.
# So we can write its parameters by hand, and no node is trained. Four good
# nodes lie at the corners of a square. The corrupted node stands far away in
# place of the fourth.

# %%
import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy import optimize

import coalesce_jax as cj
from coalesce_jax.methods import barycenter
from coalesce_jax.methods import mixture
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.ot import exact
from coalesce_jax.ot import medians
from coalesce_jax.training import schedules

CASES = {
  'four good nodes': np.array([[0, 0], [3, 0], [0, 3], [3, 3]], float),
  'one corrupted node': np.array([[0, 0], [3, 0], [0, 3], [9, 9]], float),
}
spec = generator.Spec(
  'mlp',
  latent_size=2,
  image_shape=(2,),
  options=generator.freeze({'hidden': ()}),
  critic='mlp',
  critic_options=generator.freeze({'hidden': (8,) if QUICK else (64, 64)}),
)


def normal(center):
  """Returns a generator of N(center, 0.25 I)."""
  params = spec.build().init(jax.random.key(0))
  params['out'] = jax.tree.map(jnp.zeros_like, params['out'])  # last layer
  params['affine'] = {  # added to it
    'kernel': 0.5 * jnp.eye(2),
    'bias': jnp.asarray(center, jnp.float32),
  }
  return generator.create(spec, params)


nodes = {name: [normal(p) for p in points] for name, points in CASES.items()}


def draw_nodes(ax, case):
  """Draws samples of the good nodes in grey, of the corrupted one in red."""
  for point, node in zip(CASES[case], nodes[case], strict=True):
    x = node.sample(jax.random.key(1), SHOWN)
    color = 'tab:red' if np.any(point > 5) else '0.7'
    ax.plot(*np.asarray(x).T, '.', ms=2, c=color)
  ax.set(xlim=(-2, 11), ylim=(-2, 11), aspect='equal')


def draw(columns, title):
  """Draws a row of panels for each case; a panel shows one barycenter."""
  figure, axes = plt.subplots(
    len(CASES),
    len(columns),
    figsize=(2.6 * len(columns), 5.4),
    dpi=65,
    sharex=True,
    sharey=True,
  )
  for row, case in zip(axes, CASES, strict=True):
    for ax, (name, found) in zip(row, columns.items(), strict=True):
      draw_nodes(ax, case)
      x, answer = found[case]
      ax.plot(*np.asarray(x).T, '.', ms=2, c='tab:blue')
      if answer is not None:
        ax.plot(*answer, 'x', ms=10, mew=2.5, c='k')
      ax.set(title=name if ax in axes[0] else '')
    row[0].set_ylabel(case)
  figure.suptitle(title)
  figure.tight_layout()


SHOWN = 20 if QUICK else 200
figure, axes = plt.subplots(1, 2, figsize=(5.6, 2.9), dpi=65, sharey=True)
for ax, case in zip(axes, CASES, strict=True):
  draw_nodes(ax, case)
  ax.set(title=case)
figure.tight_layout()

# %% [markdown]
# ## Problem
#
# Let $\mu_1, \dots, \mu_K$ be the distributions of the nodes, with equal
# weights.
#
# | name | call | minimises |
# |---|---|---|
# | median | `objective='w1'` | $\sum_k W_1(\mu_k, \nu)$ |
# | mean | `method='recursive'` | squared distances, one node at a time |
# | mixture | `method='mixture'` | $W_1(\nu, \frac{1}{K} \sum_k \mu_k)$ |
# | ball | `objective='ball'` | $W_1(\mu_1, \nu)$ within $r_k$ of the others |
#
# All nodes are translates of one distribution. So median, mean and ball each
# have an answer that is a translate too, and only its center is wanted. The
# median is at the point of least summed distance to the centers
# (Fermat-Weber), the mean at their average. The ball is at the point nearest to
# the first center within $r_k$ of the others. The mixture needs no training to
# be exact: each sample comes from a random node.
#
# Translates are not the only answers. $W_1$ counts only how far mass moves in
# all. For two nodes, a mean that is spread out along the line between them can
# cost no more than the translate.

# %%
RADII = (0.0, 2.5, 2.5, 2.5)


def ball_point(points):
  """Returns the center of the ball's answer, or None if the radii conflict."""
  others, radii = points[1:], np.array(RADII[1:])

  def slack(p):
    return radii - np.linalg.norm(p - others, axis=1)

  found = optimize.minimize(
    lambda p: np.sum((p - points[0]) ** 2),
    points.mean(0),
    constraints={'type': 'ineq', 'fun': slack},
    method='SLSQP',
  )
  return found.x if slack(found.x).min() > -1e-6 else None


ANSWERS = {
  'median': lambda points: medians.fermat_weber(points).point,
  'mean': lambda points: points.mean(0),
  'mixture': lambda points: None,
  'ball': ball_point,
}
for case, points in CASES.items():
  for name, answer in ANSWERS.items():
    print(f'{case}: {name} at {answer(points)}')

# %% [markdown]
# ## Solve
#
# Both cases are trained together: stacked parameters and a batch of two keys
# make one compiled program. Median, mean and ball start from the first node and
# keep its architecture. With an `epsilon` of 0.1, Adam takes small steps where
# gradients are small, so their noise hardly changes the shape. The mixture has
# to leave the shape of a node. It gets a new generator with hidden layers, and
# more critic steps.

# %%
SETTINGS = {
  'median': {'objective': 'w1'},
  'mean': {'method': 'recursive'},
  'mixture': {'method': 'mixture'},
  'ball': {'objective': 'ball', 'radii': RADII},
}
GAME = {'batch_size': 256, 'critic_learning_rate': 4e-3, **GAME}
game = cj.gan.config.Config(
  penalty='one_sided', learning_rate=4e-3, epsilon=0.1, **GAME
)
schedule = schedules.Schedule(*((2, 2) if QUICK else (800, 40)))
shifted = barycenter.Config(game=game, schedule=schedule)
hidden = {'hidden': (64, 64), 'activation': 'leaky_relu'}
mixed = barycenter.Config(
  game=cj.gan.config.Config(penalty='one_sided', **{'critic_steps': 5, **GAME}),
  schedule=schedule,
  start=None,
  spec=dataclasses.replace(spec, options=generator.freeze(hidden)),
)
keys = jax.random.split(jax.random.key(2), len(CASES))
inputs = [ensembles.batched(each) for each in zip(*nodes.values(), strict=True)]
learned, histories = {}, {}
for name, arguments in SETTINGS.items():
  config = mixed if name == 'mixture' else shifted
  learned[name], histories[name] = cj.barycenter(
    keys, inputs, config=config, **arguments
  )

# %% [markdown]
# ## Convergence
#
# The history holds the distances that the critics estimate. For the median we
# plot their average beside the exact least value. A critic has errors of its
# own, so the curve may end slightly below or above the line.

# %%
figure, ax = plt.subplots(figsize=(5.2, 3), dpi=65)
history = histories['median']
for s, (case, points) in enumerate(CASES.items()):
  color = ('tab:blue', 'tab:red')[s]
  value = medians.fermat_weber(points).value
  estimate = np.asarray(history['w1_smooth'])[:, s].mean(-1)
  ax.plot(history['step'], estimate, c=color, label=f'{case}: critics')
  ax.axhline(value, c=color, ls='--', label=f'{case}: exact')
ax.set(
  xlabel='generator step',
  ylabel='average $W_1$ to the nodes',
  title='Convergence of the median',
  ylim=(0, None),
)
_ = ax.legend(fontsize=8)

# %% [markdown]
# ## Picture
#
# Blue points are samples of the learned barycenter. The cross is the exact
# center of the answer. The mixture has no center, and neither has a ball whose
# radii contradict each other.

# %%
columns = {}
for name, ensemble in learned.items():
  columns[name] = {}
  for s, (case, points) in enumerate(CASES.items()):
    x = ensembles.member(ensemble, s).sample(jax.random.key(3), SHOWN)
    columns[name][case] = (x, ANSWERS[name](points))
draw(columns, 'blue: learned barycenters, x: exact centers')

# %% [markdown]
# * The **median** stays where it was. A minority cannot pull it away.
# * The **mean** moves by a quarter of the distance that the fourth node moved.
# * The **mixture** draws samples at the corrupted node too. A network is
#   continuous, so some samples lie on threads between the nodes, and the
#   farther the nodes the more. `methods.mixture.mixture` keeps all nodes
#   instead, and is exact.
# * The **ball** has no answer: no distribution is within 2.5 of all three other
#   nodes. Training ends somewhere between them, and the picture alone does not
#   look wrong. The history tells: `violation` stays far above 0.
#
# Learned centers lie within about 0.2 of the crosses, and the shapes are nearly
# those of a node. The curve above has one value for center and shape together,
# so look at the picture as well.
#
# The same in numbers: $W_1$ of the learned samples from the exact answer,
# computed without a critic by `ot.exact.w1`. Learned and exact samples are
# independent, so even a perfect generator would not reach 0. The last column
# says what two sample sets of one node give.

# %%
COUNT = 20 if QUICK else 400
key_learned, key_exact = jax.random.split(jax.random.key(4))
floor = exact.w1(
  normal((0, 0)).sample(key_learned, COUNT),
  normal((0, 0)).sample(key_exact, COUNT),
)
errors = {}
print('case                 answer    W1 to the exact answer   same samples')
for s, (case, points) in enumerate(CASES.items()):
  for name, ensemble in learned.items():
    answer = ANSWERS[name](points)
    if name == 'mixture':
      target = mixture.mixture(nodes[case])
    elif answer is not None:
      target = normal(answer)
    else:
      print(f'{case:20} {name:8} {"none":>23}')
      continue
    x = ensembles.member(ensemble, s).sample(key_learned, COUNT)
    errors[case, name] = exact.w1(x, target.sample(key_exact, COUNT))
    print(f'{case:20} {name:8} {errors[case, name]:23.2f} {floor:14.2f}')

violation = np.asarray(histories['ball']['violation'])[-1].max(-1)
for case, value in zip(CASES, violation, strict=True):
  print(f'ball, {case}: violation {value:.2f}')

# %% [markdown]
# ## A variant
#
# The ball can be told to trust a node less: give the corrupted node a large
# radius, for example `RADII = (0.0, 2.5, 2.5, 20.0)`, and run the notebook
# again. The nearest distribution to the first node within 2.5 of two others is
# then found in both cases. In images nobody sees which node is corrupted. Then
# the median is the safe choice, as long as the good nodes hold more than half
# of the weight.
