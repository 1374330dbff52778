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
# # Barycenters in pictures
#
# A barycenter is a distribution in the middle of others. What "middle" means
# can be seen. This notebook draws three answers for shapes in the plane and for
# handwritten digits: the mixture, the $W_1$ median and the $W_2$ mean. All of
# them are computed without a network, so they are what learned barycenters are
# checked with. It takes about two minutes on two CPU cores.
#
# To run it in Colab, upload [shapes.ipynb](shapes.ipynb) there.
# [Concepts](../docs/concepts.md) says which barycenter the package learns.

# %%
import sys

if 'google.colab' in sys.modules:
  # %pip install -q coalesce_jax
  print('The package is installed.')

QUICK = False  # True takes a few points only, to see that everything runs.

# %% [markdown]
# ## Three shapes
#
# A moon, a spiral and a circle, a few hundred points each.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy import optimize

from coalesce_jax.data import datasets
from coalesce_jax.ot import exact
from coalesce_jax.ot import grid_barycenters
from coalesce_jax.ot import matched_barycenters
from coalesce_jax.ot import sampling

COUNT = 40 if QUICK else 400
SIDE = 8 if QUICK else 24
rng = np.random.default_rng(0)


def shape(name):
  """Returns points `[COUNT, 2]` of a shape, with a little noise."""
  t = rng.uniform(0.0, 1.0, COUNT)
  if name == 'moon':
    x = np.stack([np.cos(np.pi * t), np.sin(np.pi * t) - 0.5], 1)
  elif name == 'spiral':
    turn = 3.5 * np.pi * np.sqrt(t)
    x = np.stack([np.cos(turn), np.sin(turn)], 1) * np.sqrt(t)[:, None]
  else:
    turn = 2.0 * np.pi * t
    x = np.stack([np.cos(turn), np.sin(turn)], 1)
  return x + 0.04 * rng.normal(size=x.shape)


shapes = {name: shape(name) for name in ('moon', 'spiral', 'circle')}
clouds = np.stack(list(shapes.values()))


def dots(ax, points, title):
  """Draws points of the plane."""
  ax.plot(*np.asarray(points).T, '.', ms=3)
  ax.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect='equal', title=title)
  ax.set_xticks([])
  ax.set_yticks([])


figure, axes = plt.subplots(1, 3, figsize=(6, 2.2), layout='constrained')
for ax, (name, points) in zip(axes, shapes.items(), strict=True):
  dots(ax, points, name)

# %% [markdown]
# ## What lies between them
#
# * The **mixture** takes each point from one of the shapes. It lies between
#   nothing: it is all three at once.
# * The **$W_2$ mean** minimises the mean squared distance that mass moves. Each
#   point of it is the mean of one point of each shape. The best of three starts
#   is taken, because matchings have local minima.
# * **Particles** flow to the same answer. They need scores of the shapes and no
#   matchings, so that they work for densities too. A kernel blurs them.
# * The **$W_1$ median** minimises the mean distance. It is computed on a grid,
#   as a histogram.

# %%
mixture = np.concatenate([cloud[: COUNT // 3] for cloud in clouds])
starts = [
  matched_barycenters.fixed_point(clouds, start=k) for k in range(len(clouds))
]
mean = min(starts, key=lambda found: found.value)
flowed = sampling.of_samples(
  jax.random.key(0), clouds.astype(np.float32), bandwidth=0.1, alpha=3.0,
  steps=20 if QUICK else 600,
)  # fmt: skip
particles = np.asarray(flowed.barycenter)

line = np.linspace(-1.3, 1.3, SIDE)
grid = np.stack(np.meshgrid(line, line, indexing='ij'), -1).reshape(-1, 2)


def histogram(points):
  """Returns the shares of points at their nearest grid points, `[P]`."""
  near = exact.cost_matrix(points, grid).argmin(1)
  return np.bincount(near, minlength=len(grid)) / len(points)


median = grid_barycenters.entropic(
  grid, [histogram(cloud) for cloud in clouds], epsilon=0.02
)
figure, axes = plt.subplots(1, 4, figsize=(9, 2.5), layout='constrained')
dots(axes[0], mixture, 'mixture')
dots(axes[1], mean.points, '$W_2$ mean, matchings')
dots(axes[2], particles, '$W_2$ mean, particles')
axes[3].imshow(
  median.histogram.reshape(SIDE, SIDE).T, origin='lower', cmap='Blues',
  extent=(-1.3, 1.3, -1.3, 1.3),
)  # fmt: skip
panel = axes[3].set(title='$W_1$ median, grid', xticks=[], yticks=[])

# %% [markdown]
# The same in numbers. Each answer is least in the column of its own objective,
# up to the grid and the kernel. Both columns are exact transport of samples.

# %%
SOME = 20 if QUICK else 300


def squared_w2(x, y):
  """Returns the squared W2 distance of two sets of as many points."""
  cost = exact.cost_matrix(x, y) ** 2
  return cost[optimize.linear_sum_assignment(cost)].mean()


def sampled(weights, points):
  """Returns points that are drawn with these weights, `[SOME, 2]`."""
  return points[rng.choice(len(points), SOME, p=weights)]


answers = {
  'mixture': mixture[rng.permutation(len(mixture))[:SOME]],
  'W2 mean, matchings': mean.points[:SOME],
  'W2 mean, particles': particles[:SOME],
  'W1 median, grid': sampled(median.histogram, grid),
}
costs = {}
print(f'{"":20}{"mean W1":>10}{"mean W2^2":>11}')
for name, points in answers.items():
  w1 = np.mean([exact.w1(points, cloud[:SOME]) for cloud in clouds])
  squared = np.mean([squared_w2(points, cloud[:SOME]) for cloud in clouds])
  costs[name] = w1, squared
  print(f'{name:20}{w1:10.3f}{squared:11.3f}')

# %% [markdown]
# ## Handwritten digits
#
# An image is a distribution too: brightness is mass, and a pixel is a point. Of
# five images of a digit we draw the mean of pixels, which is the mixture, the
# $W_1$ median and the $W_2$ mean. Then the last two images are replaced by
# other digits.

# %%
data = datasets.load('digits', 'train')
images, labels = data.images[..., 0].astype(float), data.labels
pixels = np.stack(np.meshgrid(*2 * [np.arange(8.0)], indexing='ij'), -1)
pixels = pixels.reshape(-1, 2)
threes = images[labels == 3][:5]
spoiled = np.concatenate([threes[:3], images[labels == 7][:2]])


def shares(image):
  """Returns the mass of each pixel, `[64]`."""
  return image.reshape(-1) / image.sum()


def wasserstein_mean(some):
  """Returns the W2 mean of images as points, each a few of the mass."""
  count = 40 if QUICK else 250
  at = (np.arange(count) + 0.5) / count
  points = np.stack(
    [pixels[np.searchsorted(np.cumsum(shares(image)), at)] for image in some]
  )
  # A point is anywhere in its pixel.
  points = points + rng.uniform(-0.5, 0.5, points.shape)
  return matched_barycenters.fixed_point(points, iterations=20).points


cases = {'five threes': threes, 'three threes, two sevens': spoiled}
medians = {}
for name, some in cases.items():
  figure, axes = plt.subplots(1, 8, figsize=(10, 1.6), layout='constrained')
  for ax, image in zip(axes, some, strict=False):
    ax.imshow(image, cmap='gray_r')
  axes[0].set_title(name, fontsize=8, loc='left')
  medians[name] = grid_barycenters.linear_programme(
    pixels, [shares(image) for image in some]
  )
  axes[5].imshow(np.mean([shares(i) for i in some], 0).reshape(8, 8),
                 cmap='gray_r')  # fmt: skip
  axes[5].set_title('mixture', fontsize=8)
  axes[6].imshow(medians[name].histogram.reshape(8, 8), cmap='gray_r')
  axes[6].set_title('$W_1$ median', fontsize=8)
  points = wasserstein_mean(some)
  axes[7].plot(points[:, 1], points[:, 0], '.', ms=3, c='k')
  axes[7].set(xlim=(-0.5, 7.5), ylim=(7.5, -0.5), aspect='equal')
  axes[7].set_title('$W_2$ mean', fontsize=8)
  for ax in axes:
    ax.set_xticks([])
    ax.set_yticks([])
  print(f'{name}: mean W1 of the median {medians[name].value:.3f} pixels')

# %% [markdown]
# * A mean of pixels is blurred, and a seven in it stays visible.
# * The median is as sharp as an image: most of its mass lies where most images
#   have theirs. Two of five other images hardly move it.
# * The mean moves every stroke a part of the way to the other digits.
#
# ## More
#
# * [Which barycenter?](barycenters.ipynb) learns median, mean, mixture and ball
#   by critics, and compares them with exact answers.
# * `ot.gaussians.gaussian_barycenter` is exact for Gaussians, and
#   [ground truths](../docs/results/ground_truth_barycenters.md) has the checks.
