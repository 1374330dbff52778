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
# # Quickstart: from 20 images to a small generator
#
# A device has only 20 images, too few to train a generative adversarial
# network (GAN). Other nodes have trained GANs on their own data and share the
# generators. The package ships one that learned from two such nodes. It is
# called the *metamodel*, and it draws all MNIST digits. This notebook adapts
# the metamodel to 20 images. Then it makes the weights ternary: each is one of
# three values and takes 2 bits. At the end it writes an ONNX file and compares
# its samples with those of JAX. All of it takes under five minutes on two CPU
# cores, compilation included.
#
# To run it in Colab, upload [quickstart.ipynb](quickstart.ipynb) there.
# [Concepts](../docs/concepts.md) explains the method with drawings.

# %%
import sys

if 'google.colab' in sys.modules:
  # %pip install -q 'coalesce_jax[export]'
  print('The package is installed.')

QUICK = False  # True takes a few steps only, to see that everything runs.
GAME = {'batch_size': 8, 'critic_steps': 1} if QUICK else {}
FOLDER = ''  # Folder with 8 or more pictures of your own; '' means digits.

# %% [markdown]
# ## Data
#
# The default images are handwritten zeros, threes and eights that come with
# scikit-learn. They have 8 x 8 pixels. We add the margin that MNIST digits
# have, resize to the 28 x 28 pixels of the generator, and raise the contrast.
# The first 20 are for training. All others are set aside to measure progress.
#
# To use pictures of your own, set `FOLDER` above to the path of their folder.
# [Your images](../docs/guides/your_images.md) says what is read, and how.

# %%
import dataclasses
import os

import jax
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy.spatial import distance
from sklearn import datasets

import coalesce_jax as cj
from coalesce_jax.data import images
from coalesce_jax.data import samples
from coalesce_jax.export import export
from coalesce_jax.methods import adaptation
from coalesce_jax.metrics import energy
from coalesce_jax.runs import figures
from coalesce_jax.training import schedules

meta = cj.load('zoo:mnist-meta')
shape = meta.spec.image_shape
if FOLDER:
  pictures = images.load(FOLDER, shape).images
else:
  digits = datasets.load_digits()
  chosen = digits.images[np.isin(digits.target, (0, 3, 8))]
  levels = np.uint8(np.round(chosen * 255 / 16))
  levels = np.pad(levels, ((0, 0), (2, 2), (2, 2)))
  # Images of any size are resized to the shape of the generator.
  pictures = samples.array([Image.fromarray(each) for each in levels], shape)
  pictures = np.uint8(np.clip(2.5 * pictures - 160.0, 0, 255))
local = pictures[:20]
# With few pictures the local ones have to measure progress too.
others = pictures[20:] if len(pictures) >= 40 else local


def show(panels):
  """Shows 20 samples of each panel side by side."""
  figure, axes = plt.subplots(
    1, len(panels), figsize=(3 * len(panels), 2.9), dpi=70
  )
  for ax, (title, x) in zip(np.atleast_1d(axes), panels.items(), strict=True):
    x = np.asarray(x[:20], np.float32)
    ax.imshow(figures.tile(x), cmap='gray')
    ax.set_title(title)
    ax.axis('off')
  figure.tight_layout()


print(f'{len(local)} images to train on, {len(others)} to measure progress')
key_edge, key_small, key_view = jax.random.split(jax.random.key(0), 3)
show(
  {
    '20 local images': local / 127.5 - 1.0,
    'samples of the metamodel': meta.sample(key_view, 20),
  }
)

# %% [markdown]
# ## Adapt
#
# The adapted generator $\nu$ solves
# $\min_\nu \, (1 - a) \, W_1(\hat\mu_0, \nu)^2 + a \, W_1(\nu, \mu)^2$.
# Here $\hat\mu_0$ is the distribution of the local images and $\mu$ that of the
# metamodel. $W_1$ is the Wasserstein-1 distance, which a critic network
# estimates for each of them. The proximal weight $a$, called `anchor`, holds
# the generator near the metamodel: small values trust the 20 images, large
# values the metamodel.

# %%
base = adaptation.Config()
config = dataclasses.replace(
  base,
  game=dataclasses.replace(base.game, **GAME),
  anchor=0.25,
  generator_rate=1.5,
  schedule=schedules.Schedule(*((2, 2) if QUICK else (300, 20))),
)
edge, history = cj.adapt(key_edge, meta, local, config=config)

figure, ax = plt.subplots(figsize=(5, 2.8), dpi=70)
for column, name in enumerate(('the local images', 'the metamodel')):
  ax.plot(history['step'], history['w1_smooth'][:, column], label=f'to {name}')
ax.set(
  xlabel='generator step',
  ylabel='estimated $W_1$',
  title='Distances of the adapted generator',
  ylim=(0, None),
)
_ = ax.legend()

# %% [markdown]
# In the first 50 steps only the critics learn, so the first values are too low.
# Then the distance to the local images falls, and the generator pays for it
# with distance to the metamodel. At the exact solution the distance to the
# local images would be a quarter of the sum of both, as `anchor` says.
#
# ## Make the weights ternary
#
# The weights of all kernels but the last become $-s$, $0$ or $+s$, with one
# scale $s$ for each output channel. Weights and thresholds are trained
# together, by the same game as above. Now the float generator takes the place
# of the metamodel.

# %%
config = adaptation.ternarize_default(edge.spec)
config = dataclasses.replace(
  config,
  game=dataclasses.replace(config.game, **GAME),
  schedule=schedules.Schedule(*((2, 2) if QUICK else (300, 50))),
)
small, ternary_history = cj.ternarize(key_small, edge, local, config=config)

stages = {'metamodel': meta, 'adapted': edge, 'ternary': small}
show({name: each.sample(key_view, 20) for name, each in stages.items()})

# %% [markdown]
# The panels use the same latents. The adapted samples have the size and the
# strokes of the local images, and many are zeros, threes or eights. After so
# few steps some are no clear digit. The ternary generator draws much the same.
#
# ## Write the device file
#
# `export.write` runs the ONNX program on random latents and compares its images
# with those of JAX. If they differ by more than 0.0001 it raises an error and
# writes nothing. The table gives sizes, and the energy distance of 500 samples
# to the images that were set aside. Lower is better, and 0 would be the same
# distribution. With the digits expect about 4.5 for the metamodel and 1.2 after
# adaptation. Ternary weights cost little more, in a fourteenth of the bytes.

# %%
kept = (np.float32(others) / 127.5 - 1.0).reshape(len(others), -1)
within = distance.pdist(kept).mean()


def energy_distance(x):
  """Returns the energy distance of images to those that were set aside."""
  x = np.asarray(x).reshape(len(x), -1)
  return float(energy.energy_distance(kept, x)) - within


print('generator      file                     bytes   energy distance')
for name, each in stages.items():
  path = f'{name}.safetensors'
  cj.save(path, each._replace(critic=None))
  score = energy_distance(each.sample(key_view, 20 if QUICK else 500))
  size = os.path.getsize(path)
  print(f'{name:14} {path:22} {size:8,} {score:17.2f}')
program = export.write('edge.onnx', small)
size, apart = os.path.getsize('edge.onnx'), program.metadata['max_difference']
print(f'{"ternary":14} {"edge.onnx":22} {size:8,}')
print(f'The samples of edge.onnx are within {apart:.0e} of those of JAX.')

# %% [markdown]
# ## A variant
#
# Set `anchor=0.0` to forget the metamodel: the generator then follows the 20
# images alone. [Settings](../docs/guides/settings.md) explains this and the
# other choices. From a terminal the same two trainings are
#
#     coalesce adapt --nodes=zoo:mnist-0-4,zoo:mnist-5-9 --local=DIR \
#       --ternary --out=edge.safetensors
#     coalesce export --node=edge.safetensors --format=onnx --out=edge.onnx
#
# where `adapt` first learns the metamodel of the two nodes.
