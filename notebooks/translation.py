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
# # Colour line drawings
#
# A translator turns pictures of one kind into pictures of another kind. This
# notebook trains one with pix2pix on 1,281 pairs of emoji: the outline of each,
# and the same emoji in flat colours. It measures the result on emoji that it
# has not seen, beside what learns nothing. Then it draws with it, and writes an
# ONNX file. All of it takes about five minutes on two CPU cores.
#
# To run it in Colab, upload [translation.ipynb](translation.ipynb) there. The
# guide [Translate images](../docs/guides/translate.md) has the commands, and
# what to do with pictures of your own.

# %%
import sys

if 'google.colab' in sys.modules:
  # %pip install -q 'coalesce_jax[export,translation]'
  print('The package is installed.')

QUICK = False  # True takes a few steps only, to see that everything runs.
FOLDER = ''  # Folder of your own pairs; '' means emoji.

# %% [markdown]
# ## Pairs
#
# The emoji are vector graphics, which are fetched once and drawn with 64 pixels
# a side. A fifth of them is held out. Variants of one emoji, such as skin
# tones, are never on both sides.

# %%
import dataclasses
import os
import time

import jax
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from PIL import Image
from PIL import ImageDraw

import coalesce_jax as cj
from coalesce_jax.data import pair_settings
from coalesce_jax.export import export
from coalesce_jax.metrics import controls
from coalesce_jax.metrics import image_scores
from coalesce_jax.runs import pictures
from coalesce_jax.training import schedules

side = 16 if QUICK else 64
task = FOLDER or ('edges:digits' if QUICK else 'fluent_outline_flat')
train, held = cj.translation.load(
  task, pair_settings.Settings(load_size=side, crop_size=side)
)


def show(title, *sets):
  """Shows a row for each example; columns are sets of images."""
  sheet = pictures.columns(sets)
  figure, ax = plt.subplots(figsize=(1.1 * len(sets), 0.55 * len(sets[0])))
  ax.imshow(sheet.squeeze(), cmap='gray')
  ax.set_title(title, fontsize=9)
  ax.axis('off')


print(f'{len(train.condition)} pairs to train on, {len(held.condition)} others')
show('input, target', train.condition[:6], train.target[:6])

# %% [markdown]
# ## What learns nothing
#
# A translator has to beat predictions that need no network: the input itself,
# the mean and the median colour picture, and the colours of the training pair
# with the most similar outline. L1 is the mean absolute difference of pixels in
# [-1, 1]; 0 is perfect. The pictures of "nearest" are real emoji, so they look
# good and are still wrong.


# %%
def l1(made):
  """Mean absolute difference to the held-out targets."""
  return float(
    np.mean(image_scores.evaluate(np.asarray(made), held.target)['l1'])
  )


table = {
  name: l1(made) for name, made in controls.predictions(train, held).items()
}
for name, value in table.items():
  print(f'{name:8} {value:.3f}')

# %% [markdown]
# ## Train
#
# The generator $G$ is a U-Net, which sees the outline $x$. The critic $f$ sees
# outline and colours together, and judges patches of 34 pixels. They play
# $\min_G \max_f L(G, f) + 100 \, E |y - G(x)|_1$. Learning rates fall to zero
# in the second half. Every 100 steps the network is scored on held-out emoji,
# and the best one is kept.

# %%
steps, batch, width = (4, 2, 4) if QUICK else (600, 16, 16)
default = cj.translation.Pix2pix()
config = dataclasses.replace(
  default,
  networks=cj.translation.Networks(
    ngf=width, ndf=2 * width, downs=side.bit_length() - 1, n_layers_d=2
  ),
  batch_size=batch,
  schedule=schedules.Schedule(
    steps=steps, chunk=min(25, steps), select_every=min(100, steps),
    patience=1 << 30,
  ),
)  # fmt: skip
began = time.perf_counter()
translator, history = cj.translation.pix2pix(
  jax.random.key(0), (train, held), config=config
)
print(f'{steps} steps in {time.perf_counter() - began:.0f} s')

figure, axes = plt.subplots(1, 2, figsize=(8, 2.4), dpi=70)
axes[0].plot(history['step'], history['term/l1'] / 100.0)
axes[0].set_title('L1 in training')
axes[1].plot(history['step'], history['w1'].squeeze())
axes[1].set_title('real score minus score of results')
figure.tight_layout()

# %% [markdown]
# ## Look and measure
#
# Colours follow the outlines, and they are smeared and often wrong. A narrow
# network has taken few steps here. With 32 channels and 1,500 steps shapes are
# clearer, as the guide shows. What no network can know is the colour itself: an
# outline does not say whether a heart is red or blue. L1 stays large.

# %%
made = translator(held.condition)
table['pix2pix'] = l1(made)
for name, value in table.items():
  print(f'{name:8} {value:.3f}')
show(
  'held out: input, pix2pix, target',
  held.condition[:8],
  np.asarray(made[:8]),
  held.target[:8],
)

# %% [markdown]
# ## Draw
#
# The network takes pictures of any size, such as this drawing.

# %%
drawing = Image.new('RGB', (6 * side // 4, side), 'white')
pen = ImageDraw.Draw(drawing)
line = max(1, side // 24)
pen.ellipse((4, 4, side - 4, side - 4), outline='black', width=line)
for x in (side // 3, 2 * side // 3):
  pen.ellipse((x - line, side // 3, x + line, side // 2), fill='black')
pen.arc(
  (side // 4, side // 3, 3 * side // 4, 4 * side // 5), 20, 160, 'black', line
)
pen.rectangle(
  (side + 4, side // 2, 6 * side // 4 - 3, side - 5),
  outline='black',
  width=line,
)
mode = 'L' if train.condition.shape[-1] == 1 else 'RGB'
drawn = np.asarray(drawing.convert(mode)).reshape(1, side, 6 * side // 4, -1)
coloured = translator(drawn)
show('a drawing, coloured', drawn, np.asarray(coloured))

# %% [markdown]
# ## Ship
#
# The bundle keeps the network for JAX. The ONNX program, with weights of eight
# bits, runs where there is no JAX, and takes pictures of any size too.

# %%
cj.save('translator.safetensors', translator)
program = export.write('translator.onnx', translator, weights='int8')
session = onnxruntime.InferenceSession('translator.onnx')
(runtime,) = session.run(None, {'condition': np.float32(drawn) / 127.5 - 1.0})
for name in ('translator.safetensors', 'translator.onnx'):
  print(f'{name:24}{os.path.getsize(name):>11,} bytes')
difference = float(np.max(np.abs(runtime - np.asarray(coloured))))
print(f'largest difference by eight bits: {difference:.3f} of a range of 2')

# %% [markdown]
# ## More
#
# * [Translate images](../docs/guides/translate.md): the commands, your own
#   pictures, and CycleGAN and CUT for pictures without pairs.
# * [Small devices](../docs/guides/device.md): where the ONNX program runs.
