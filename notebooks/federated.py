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
# # Learn to adapt over nodes, and skip what a task does not need
#
# Many nodes have a few labelled pictures each, with labels of their own, and
# share none of them. Together they learn a network that a new node adapts in
# one step. Its gates close the channels that the new task does not need, so
# that the node gets a smaller network. This notebook does that with digits. It
# takes about three minutes on two CPU cores.
#
# To run it in Colab, upload [federated.ipynb](federated.ipynb) there. The guide
# [Learn to adapt over nodes](../docs/guides/federated.md) has the commands.

# %%
import sys

if 'google.colab' in sys.modules:
  # %pip install -q coalesce_jax
  print('The package is installed.')

QUICK = False  # True takes a few rounds only, to see that everything runs.

# %% [markdown]
# ## Nodes
#
# Of the ten digits each node has three, numbered in an order of its own. So a
# network cannot know what a number means before it has seen examples of the
# node. No picture is at two nodes. Some nodes are held out: they have no part
# in learning.

# %%
import dataclasses
import os
import time

import jax
import matplotlib.pyplot as plt
import numpy as np

import coalesce_jax as cj
from coalesce_jax.federated import evaluation
from coalesce_jax.pipeline import federated_config
from coalesce_jax.pipeline import federated_data
from coalesce_jax.pipeline import federated_defaults

config = federated_defaults.get_config()
config.rounds = 300
if QUICK:
  federated_defaults.shorten(config, 'quick')
problem = federated_data.load(config)
learning = federated_config.learning(config)
tasks = evaluation.draw(problem.test, problem.shape, config.tasks, seed=3)

few = min(4, len(problem.topics))
figure, axes = plt.subplots(few, 1, figsize=(6, 1.1 * few), squeeze=False)
for node, ax in enumerate(axes[:, 0]):
  support = jax.tree.map(lambda x, node=node: x[node], tasks.support)
  ax.imshow(np.concatenate(list(support.images[..., 0]), 1), cmap='gray_r')
  each = config.shots * support.images.shape[2]
  ax.set_xticks(
    each * (np.arange(config.ways) + 0.5),
    [f'label {k}' for k in support.labels[:: config.shots]],
  )
  ax.tick_params(length=0, labelsize=8)
  ax.set_yticks([])
figure.suptitle('examples of held-out nodes')
figure.tight_layout()

# %% [markdown]
# ## Learn
#
# In a round each node adapts gates and backbone in one step to a few of its
# pictures, and sees how wrong it is on others. The server averages gradients of
# that error, through the step. Beside the network with gates (MetaGater) we
# teach one without.


# %%
def learned(gates):
  """Learns over all rounds; returns what nodes start from, and its history."""
  began = time.perf_counter()
  spec = federated_config.spec(
    config, problem.train.images.shape[1:], problem.classes
  )
  spec = dataclasses.replace(spec, gates='input' if gates else 'none')
  how = dataclasses.replace(
    learning, order='gates_first' if gates else 'backbone'
  )
  meta, history = cj.federated.metagater(
    jax.random.key(0), problem.train, spec, problem.shape, config=how,
    validation=problem.validation,
  )  # fmt: skip
  scores = evaluation.scorer(spec, how, False)(meta.params, tasks)
  print(f'{"with" if gates else "without"} gates: '
        f'{time.perf_counter() - began:.0f} s')  # fmt: skip
  return meta, history, scores


runs = {'with gates': learned(True), 'without gates': learned(False)}
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout='constrained')
for name, (_, history, _) in runs.items():
  axes[0].plot(history['step'], history['loss'], label=name)
  axes[1].plot(history['step'], history['open'], label=name)
axes[0].set(xlabel='round', ylabel='loss after one step, nats')
axes[1].set(xlabel='round', ylabel='open channels, share', ylim=(0, 1.05))
legend = axes[0].legend()

# %% [markdown]
# ## Adapt
#
# Tasks of the held-out nodes: accuracy before and after exactly one step, and
# multiply-accumulates of a picture. A static network is that of a task without
# the channels that few of its examples open. It has no gates any more.

# %%
meta, _, scores = runs['with gates']
_, _, dense = runs['without gates']
whole = float(np.mean(dense.macs))
print(f'{"":16}{"before":>8}{"after":>8}{"MACs":>8}')
for name, before, after, macs in (
  ('without gates', dense.before, dense.accuracy, dense.macs),
  ('with gates', scores.before, scores.accuracy, scores.macs),
  ('static', scores.before, scores.static_accuracy, scores.static_macs),
):
  print(f'{name:16}{np.mean(before):8.3f}{np.mean(after):8.3f}'
        f'{np.mean(macs) / whole:8.2f}')  # fmt: skip

# %% [markdown]
# ## What is open
#
# Each row is a task, each column a channel; dark channels are open. Tasks of
# one node stand together. Where gates see what only some tasks need, the rows
# of a node are alike, and those of other nodes differ. Most channels are open
# for all nodes or for none: the gates have found one smaller network for all of
# them. A few open for some nodes only.

# %%
shares = np.concatenate([np.asarray(g) for g in scores.gates], -1)
count = len(problem.topics)
# Tasks are of all nodes in turn.
of_nodes = [shares[node::count][:6] for node in range(count)]
figure, ax = plt.subplots(figsize=(8, 3.4), layout='constrained')
ax.imshow(np.concatenate(of_nodes), cmap='Greys', vmin=0, vmax=1, aspect='auto')
each = len(of_nodes[0])
ax.set_yticks(
  each * (np.arange(count) + 0.5) - 0.5,
  ['digits ' + ' '.join(map(str, sorted(t))) for t in problem.topics],
  fontsize=8,
)
edges = np.cumsum([g.shape[-1] for g in scores.gates])[:-1]
for edge in edges:
  ax.axvline(edge - 0.5, color='C1')
ax.set_xlabel('channels of the four convolutions')

means = np.stack([rows.mean(0) for rows in of_nodes])
apart = np.abs(means[:, None] - means[None]).mean(-1)
apart = apart[np.triu_indices(count, 1)]
print(f'difference of the shares of two nodes: {apart.mean():.3f}')

# %% [markdown]
# ## A file for the node
#
# The last node adapts to its few examples, and keeps a small network.

# %%
support, query = (
  jax.tree.map(lambda x: np.asarray(x[few - 1]), batch) for batch in tasks
)
adapted = cj.federated.adapt_one_step(meta, support.images, support.labels)
cj.federated.save('task.safetensors', adapted.static)
loaded = cj.federated.load('task.safetensors')
found = np.argmax(loaded.logits(query.images / 127.5 - 1.0), -1)
figure, axes = plt.subplots(1, len(found), figsize=(9, 1.1))
for image, label, answer, ax in zip(
  query.images, query.labels, found, axes, strict=True
):
  ax.imshow(image[..., 0], cmap='gray_r')
  ax.set_title(answer, color='k' if answer == label else 'r', fontsize=8)
  ax.axis('off')
print(f'channels {[int(m.sum()) for m in adapted.masks]} '
      f'of {[len(m) for m in adapted.masks]}')  # fmt: skip
print(f'file: {os.path.getsize("task.safetensors"):,} bytes')

# %% [markdown]
# ## More
#
# * [Learn to adapt over nodes](../docs/guides/federated.md): the commands,
#   folders of your own, and other ways to divide data over nodes.
# * [Continual learning](continual.ipynb): one node, task after task.
