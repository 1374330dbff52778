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
# # Learn task after task, and forget none
#
# A network that learns a second task forgets the first one. Piggyback GAN
# borrows filters instead: a new task learns a few filters of its own, and mixes
# the others from those of earlier tasks, which stay as they are. This notebook
# teaches a translator three tasks on small pictures, one after another, first
# the plain way and then by borrowing. It takes about six minutes on two CPU
# cores.
#
# To run it in Colab, upload [continual.ipynb](continual.ipynb) there. The guide
# [Learn task after task](../docs/guides/continual.md) has the commands.

# %%
import sys

if 'google.colab' in sys.modules:
  # %pip install -q 'coalesce_jax[translation]'
  print('The package is installed.')

QUICK = False  # True takes a few steps only, to see that everything runs.

# %% [markdown]
# ## Three tasks
#
# Outlines of emoji to flat colours, flat emoji to shaded ones, and maps of the
# Earth as seen from space to maps of its heights. Pictures have 32 pixels a
# side. A part of each task is held out.

# %%
import dataclasses
import os
import time

import jax
import matplotlib.pyplot as plt
import numpy as np

import coalesce_jax as cj
from coalesce_jax.data import pair_settings
from coalesce_jax.models import translator
from coalesce_jax.pipeline import stream_tables
from coalesce_jax.runs import pictures
from coalesce_jax.training import schedules

side = 8 if QUICK else 32
names = {
  'colours': 'edges:digits' if QUICK else 'fluent_outline_flat',
  'shading': 'inpaint:digits' if QUICK else 'fluent_flat_modern',
  'heights': 'denoise:digits' if QUICK else 'earth_relief',
}
steps, batch, width = (4, 2, 4) if QUICK else (600, 16, 16)
config = dataclasses.replace(
  cj.translation.Pix2pix(),
  networks=cj.translation.Networks(
    ngf=width, ndf=width, downs=side.bit_length() - 1, n_layers_d=1
  ),
  batch_size=batch,
  schedule=schedules.Schedule(steps=steps, chunk=min(50, steps)),
)  # fmt: skip
size = pair_settings.Settings(load_size=side, crop_size=side)
pairs = {task: cj.translation.load(data, size) for task, data in names.items()}
tasks = [
  cj.continual.translation(task, given, config) for task, given in pairs.items()
]
for task, (train, held) in pairs.items():
  print(f'{task:8}{len(train.condition):6} pairs, {len(held.condition)} others')

# %% [markdown]
# ## The plain way forgets
#
# One network goes on training, task after task. Each row of the table is the
# time after one more task, each column a task. Numbers are mean absolute
# differences to held-out targets, of a range of 2.


# %%
def shown(title, generators):
  """Shows three held-out examples of every task: input, output, target."""
  figure, axes = plt.subplots(
    1, len(tasks), figsize=(2.6 * len(tasks), 2.6), layout='constrained'
  )
  figure.suptitle(f'{title}: input, output, target', fontsize=9)
  for ax, (task, (_, held)) in zip(axes, pairs.items(), strict=True):
    some = np.linspace(0, len(held.condition) - 1, 5, dtype=int)[1:4]
    given = held.condition[some]
    made = np.asarray(generators[task](given))
    sheet = pictures.columns([given, made, held.target[some]])
    ax.imshow(sheet.squeeze(), cmap='gray')
    ax.set_title(task, fontsize=8)
    ax.axis('off')


def learned(name, **options):
  """Learns the stream; returns its result and a function for each task."""
  began = time.perf_counter()
  learner = cj.continual.make(name, 'unet', options)
  result = cj.continual.run(jax.random.key(0), learner, tasks)
  print(f'{name}: {time.perf_counter() - began:.0f} s')
  print(stream_tables.matrix(list(pairs), result.scores['l1'], 'l1'))
  found = {}
  for t, task in enumerate(tasks):
    model = learner.generator(result.state, t, task)
    found[task.name] = translator.create(task.spec, model.params)
  return result, found


sequential, models = learned('sequential')
shown('one network, after the last task', models)

# %% [markdown]
# ## Borrowing keeps
#
# Of the filters of inner layers a share $\lambda = 1/4$ is new for each task.
# The columns of the table do not change once a task is learned: its filters are
# frozen.

# %%
began = time.perf_counter()
family, result = cj.continual.piggyback(jax.random.key(0), tasks, share=0.25)
print(f'piggyback: {time.perf_counter() - began:.0f} s')
print(stream_tables.matrix(list(pairs), result.scores['l1'], 'l1'))
cj.continual.save('family.safetensors', family)
members = {
  task: cj.continual.load_member('family.safetensors', task) for task in pairs
}
shown('Piggyback, after the last task', members)

# %% [markdown]
# ## What it costs
#
# A later task stores its own filters and how it mixes the others. One file has
# the whole family, in which each filter is stored once.

# %%
whole = int(result.stored[0])
for task, count in zip(pairs, result.stored, strict=True):
  print(f'{task:8}{count:>10,} parameters, {count / whole:.2f} of a network')
print(f'family: {os.path.getsize("family.safetensors"):,} bytes')

figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), layout='constrained')
for ax, (title, each) in zip(
  axes, {'one network': sequential, 'Piggyback': result}.items(), strict=True
):
  for t, task in enumerate(pairs):
    after = np.arange(t, len(tasks))
    ax.plot(after + 1, each.scores['l1'][t:, t], 'o-', label=task)
  ax.set(
    title=title, xlabel='tasks learned', ylabel='L1', xticks=(1, 2, 3),
    ylim=(0, None),
  )  # fmt: skip
legend = axes[0].legend(fontsize=7)

# %% [markdown]
# ## More
#
# * [Learn task after task](../docs/guides/continual.md): the commands, one more
#   task for a family that is there, and other learners.
# * [Translate images](../docs/guides/translate.md): pictures of your own.
