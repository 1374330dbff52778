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
# # Many seeds at once: how strongly to hold on to the metamodel
#
# Results of adversarial training vary with the random seed and with the local
# samples. A claim about a setting therefore needs several runs. In this
# package a batch of keys trains several replicas in one compiled program, and
# some settings may be arrays with one value for each replica. Here we scan the
# proximal weight `anchor`, which says how strongly an adapted generator is held
# near the metamodel, over several seeds.
#
# To run it in Colab, upload [seeds.ipynb](seeds.ipynb) there.
# [Ablations](../docs/guides/ablations.md) says what else may be an array.

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
# Samples are points of the plane, so that the right answer is known. The
# metamodel is a standard normal distribution. The distribution at the edge node
# is the same, but shifted by 0.8 to the right. Each seed has only 8 local
# samples of it. The generators are affine maps of the latents (a perceptron,
# 'mlp', without hidden layers), so they can shift and scale and nothing else.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import coalesce_jax as cj
from coalesce_jax.methods import adaptation
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.ot import exact
from coalesce_jax.training import schedules

SHIFT = np.array([0.8, 0.0])
LOCAL = 8
SEEDS = 2 if QUICK else 8
ANCHORS = (0.0, 0.5) if QUICK else (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)

spec = generator.Spec(
  'mlp',
  latent_size=2,
  image_shape=(2,),
  options=generator.freeze({'hidden': ()}),
  critic='mlp',
  critic_options=generator.freeze({'hidden': (8,) if QUICK else (64, 64)}),
)
params = spec.build().init(jax.random.key(0))
params['out'] = jax.tree.map(jnp.zeros_like, params['out'])  # last layer
params['affine'] = {'kernel': jnp.eye(2), 'bias': jnp.zeros(2)}  # added to it
meta = generator.create(spec, params)


def local_samples(count):
  """Draws the local samples of every seed, [SEEDS, count, 2]."""
  rng = np.random.default_rng(0)
  points = rng.standard_normal((SEEDS, count, 2)) + SHIFT
  return points.astype(np.float32)


points = local_samples(LOCAL)
key_view = jax.random.key(5)
figure, ax = plt.subplots(figsize=(6.6, 3.4), dpi=70)
ax.plot(
  *np.asarray(meta.sample(key_view, 300)).T,
  '.',
  c='0.7',
  ms=3,
  label='metamodel',
)
ax.plot(0, 0, '+', c='0.3', ms=12, mew=2, label='center of the metamodel')
ax.plot(*SHIFT, 'x', c='k', ms=10, mew=2, label='center at the edge node')
for s in range(2):
  ax.plot(*points[s].T, 'o', ms=5, label=f'local samples of seed {s}')
ax.set(xlabel='$x_1$', ylabel='$x_2$', title='Local samples of two seeds')
ax.set_aspect('equal')
_ = ax.legend(fontsize=7, loc='center left', bbox_to_anchor=(1, 0.5))

# %% [markdown]
# ## Problem
#
# The adapted generator $\nu$ solves
# $\min_\nu \, (1 - a) \, W_1(\hat\mu_0, \nu)^2 + a \, W_1(\nu, \mu)^2$ with the
# local samples $\hat\mu_0$, the metamodel $\mu$ and the proximal weight $a$.
# Few samples are uncertain: the mean of 8 is off by 0.44 on average. So neither
# $a = 0$ nor $a$ near 1 should be best on average.
#
# For the center alone the answer is a line of algebra. A generator at position
# $a$ between the mean $\bar x$ of the local samples and the metamodel has its
# center at $(1 - a) \, \bar x$, and we know where it should be. This is our
# reference curve, computed from the same local samples.


# %%
def reference(points):
  """Returns the distance of `(1 - a) mean` from the true center, [A, SEEDS]."""
  means = points.mean(1)
  return np.stack(
    [np.linalg.norm((1 - a) * means - SHIFT, axis=1) for a in ANCHORS]
  )


# %% [markdown]
# ## Solve
#
# Each pair of a weight and a seed is one replica. Three things get a leading
# axis of replicas: the keys, the parameters of the metamodel, and `anchor`.
# Replicas of one seed have the same key and the same local samples, so that
# only the weight differs between them. `cj.adapt` maps its training over the
# axis by `jax.vmap`.
#
# With an `epsilon` of 0.1, Adam takes small steps where gradients are small.
# Otherwise their noise would distort the shape of so small a generator.


# %%
def scan(points, steps=20 if QUICK else 400):
  """Adapts a replica for each pair of a weight and a seed."""
  keys = jax.random.split(jax.random.key(2), SEEDS)
  index = np.tile(np.arange(SEEDS), len(ANCHORS))  # seed of each replica
  anchor = np.repeat(ANCHORS, SEEDS)  # weight of each replica
  config = adaptation.Config(
    game=cj.gan.config.Config(
      objective='w1_squared',
      learning_rate=4e-3,
      epsilon=0.1,
      penalty='one_sided',
      **GAME,
    ),
    schedule=schedules.Schedule(steps=steps, chunk=max(2, steps // 20)),
    anchor=anchor,
    decay=True,
    held_out=0.0,
  )
  start = ensembles.batched([meta] * len(index))
  return cj.adapt(keys[index], start, points[index], config=config)


adapted, history = scan(points)
print(f'{ensembles.count(adapted)} replicas were trained together.')


# %% [markdown]
# ## Convergence
#
# Lines are means over seeds, and bands are one standard deviation to each
# side. The curves show the distance to the local samples that the critic
# estimates. The critics start untrained, so the first values are too low.
# Where the curves are flat, more steps would not help. Without a proximal
# weight the curve does not reach 0: an affine generator cannot copy 8 points.


# %%
def bands(ax, x, values, **style):
  """Draws the mean of [..., SEEDS] over seeds with a band of one deviation."""
  mean, spread = values.mean(-1), values.std(-1)
  (line,) = ax.plot(x, mean, **style)
  color = line.get_color()
  ax.fill_between(x, mean - spread, mean + spread, color=color, alpha=0.2, lw=0)


distances = np.asarray(history['w1_smooth'])[..., 0]
distances = distances.reshape(len(distances), len(ANCHORS), SEEDS)
figure, ax = plt.subplots(figsize=(5.2, 3.2), dpi=70)
for i in (0, len(ANCHORS) // 2, len(ANCHORS) - 1):
  bands(ax, history['step'], distances[:, i], label=f'anchor {ANCHORS[i]}')
ax.set(
  xlabel='generator step',
  ylabel='estimated $W_1$',
  title='Distance to the local samples',
  ylim=(0, None),
)
_ = ax.legend(fontsize=8)

# %% [markdown]
# ## Picture
#
# How far is each adapted generator from the true distribution at the edge?
# `ot.exact.w1` gives the distance without a critic. Both sample sets use the
# same latents, so that two equal distributions have distance 0.

# %%
COUNT = 20 if QUICK else 400


def errors(adapted):
  """Returns the exact W1 to the true distribution, [A, SEEDS]."""
  truth = np.asarray(meta.sample(key_view, COUNT)) + SHIFT
  found = [
    exact.w1(ensembles.member(adapted, r).sample(key_view, COUNT), truth)
    for r in range(ensembles.count(adapted))
  ]
  return np.reshape(found, (len(ANCHORS), SEEDS))


def picture(adapted, points, title):
  """Draws measured errors and the reference curve over the weights."""
  found = errors(adapted)
  figure, ax = plt.subplots(figsize=(5.2, 3.2), dpi=70)
  bands(ax, ANCHORS, found, marker='o', label='learned generators')
  ax.plot(ANCHORS, reference(points).mean(1), 'k--', label='center alone')
  ax.axhline(SHIFT[0], c='0.6', ls=':', label='metamodel, not adapted')
  ax.set(
    xlabel='proximal weight `anchor`',
    ylabel='$W_1$ to the true distribution',
    title=title,
    ylim=(0, 1.2),
  )
  ax.legend(fontsize=8, loc='lower right')
  return found


few = picture(adapted, points, f'{LOCAL} local samples, {SEEDS} seeds')
best = ANCHORS[int(few.mean(1).argmin())]
print(f'The best weight with {LOCAL} samples is {best}.')

# %% [markdown]
# The mean is lowest between the ends, but the bands overlap: eight seeds do not
# separate neighbouring weights, and one seed alone could have shown another
# order. At large weights the error nears that of the metamodel, and so does the
# band, because the local samples hardly count. The curve lies above the dashed
# line where the weight is small: the generators also learn the shape of their
# 8 samples, which is not that of the true distribution.
#
# ## A variant
#
# With 64 local samples their mean is more certain. Both curves are then lowest
# at 0: with so many samples the metamodel does not help.

# %%
points = local_samples(LOCAL if QUICK else 64)
adapted, history = scan(points)
many = picture(adapted, points, f'64 local samples, {SEEDS} seeds')
best = ANCHORS[int(many.mean(1).argmin())]
print(f'The best weight with 64 samples is {best}.')
