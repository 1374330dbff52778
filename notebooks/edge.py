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
# # At the edge: bytes, runtimes, and a web page
#
# A trained generator has to run on a device that has neither JAX nor this
# package. `coalesce_jax` writes ONNX files, which ONNX Runtime reads on
# servers, on phones and in browsers. A ternary generator can be written with
# weights of 2, 4 or 32 bits. This notebook measures what each of them costs in
# bytes and in time, and writes a web page that draws samples.
#
# To run it in Colab, upload [edge.ipynb](edge.ipynb) there.
# [Devices](../docs/guides/device.md) says which runtime reads which weights.

# %%
import sys

if 'google.colab' in sys.modules:
  # %pip install -q 'coalesce_jax[export]'
  print('The package is installed.')

QUICK = False  # True takes a few steps only, to see that everything runs.
GAME = {'batch_size': 8, 'critic_steps': 1} if QUICK else {}

# %% [markdown]
# ## Data
#
# We take a generator of all MNIST digits that ships with the package and make
# its weights ternary. Ternarization needs images. Here it gets samples of the
# generator itself, so no data set is needed.

# %%
import dataclasses
import os
import pathlib
import statistics
import time

import jax
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime

import coalesce_jax as cj
from coalesce_jax.export import export
from coalesce_jax.methods import adaptation
from coalesce_jax.runs import figures
from coalesce_jax.training import schedules

meta = cj.load('zoo:mnist-meta')
key_data, key_small = jax.random.split(jax.random.key(0))
drawn = np.asarray(meta.sample(key_data, 20 if QUICK else 500))
drawn = np.uint8(np.round(127.5 * (drawn + 1)))  # 8 bits, like real images

config = adaptation.ternarize_default(meta.spec)
config = dataclasses.replace(
  config,
  game=dataclasses.replace(config.game, **GAME),
  schedule=schedules.Schedule(*((2, 2) if QUICK else (300, 50))),
)
small, history = cj.ternarize(key_small, meta, drawn, config=config)

figure, ax = plt.subplots(figsize=(5, 2.8), dpi=70)
estimate = np.asarray(history['w1_smooth'])
ax.plot(history['step'], estimate[:, 0], label='to the drawn images')
ax.plot(history['step'], estimate[:, 1], label='to the float generator')
ax.set(
  xlabel='generator step',
  ylabel='estimated $W_1$',
  title='Distances of the ternary generator',
  ylim=(0, None),
)
_ = ax.legend()

# %% [markdown]
# In the first 50 steps only the critics learn: the curves start at what ternary
# weights cost before any training. Then both fall together, because the images
# are samples of the float generator. They do not reach 0, because ternary
# weights cannot copy the float generator exactly. Critics go on learning too,
# so a small rise at the end need not mean worse samples.
#
# ## Problem
#
# Which file is small, which one is fast, and are their samples the same? ONNX
# Runtime reads weights of 2 bits (`int2`) from version 1.24 on, weights of 4
# bits (`int4`) from 1.20 on, and `float32` in all versions.
#
# ## Solve
#
# `export.write` runs each program before it writes the file, and compares its
# samples with those of JAX. A difference above 0.0001 is an error. The bundle
# is the package's own file, from which training can go on.

# %%
cj.save('edge.safetensors', small._replace(critic=None))
cj.save('edge-trits.safetensors', small._replace(critic=None), packing='trits')
cj.save('float.safetensors', meta._replace(critic=None))
programs = {
  weights: export.write(f'edge-{weights}.onnx', small, weights=weights)
  for weights in ('int2', 'int4', 'float32')
}
print('file                        bytes   difference from JAX')
for name in ('float', 'edge', 'edge-trits'):
  path = f'{name}.safetensors'
  print(f'{path:24} {os.path.getsize(path):8,}')
for weights, program in programs.items():
  path = f'edge-{weights}.onnx'
  apart = program.metadata['max_difference']
  print(f'{path:24} {os.path.getsize(path):8,} {apart:21.0e}')

# %% [markdown]
# ## Time on one core
#
# ONNX Runtime gets one thread. The option `disable_quant_qdq` expands the
# packed weights once, when the session starts. Without it they are expanded at
# every call. Times are medians of short slices, which take turns, so that other
# work on the machine hits all of them alike.

# %%
z = np.random.default_rng(0).standard_normal(
  (64, small.spec.latent_size), np.float32
)


def session(path, expand=True):
  """Opens an ONNX file for one core."""
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = options.inter_op_num_threads = 1
  if expand:
    options.add_session_config_entry('session.disable_quant_qdq', '1')
  return onnxruntime.InferenceSession(
    path, options, providers=['CPUExecutionProvider']
  )


def milliseconds(run, latents, seconds=0.002 if QUICK else 0.1):
  """Returns the time of one sample over a slice of some seconds."""
  count, start = 0, time.perf_counter()
  while (spent := time.perf_counter() - start) < seconds or not count:
    run.run(None, {'z': latents})
    count += len(latents)
  return 1000 * spent / count


runs = {
  'int2, expanded once': session('edge-int2.onnx'),
  'int2, at every call': session('edge-int2.onnx', expand=False),
  'int4, expanded once': session('edge-int4.onnx'),
  'float32': session('edge-float32.onnx'),
}
slices = {(name, batch): [] for name in runs for batch in (1, 64)}
for _ in range(2 if QUICK else 15):
  for name, batch in slices:
    slices[name, batch].append(milliseconds(runs[name], z[:batch]))
times = {key: statistics.median(values) for key, values in slices.items()}

figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), dpi=70, sharey=True)
names = list(runs)
files = [f'edge-{name.split(",")[0]}.onnx' for name in names]
bars = axes[0].barh(names, [os.path.getsize(file) / 1000 for file in files])
axes[0].bar_label(bars, fmt='%.0f', padding=2)
axes[0].set(xlabel='kilobytes', title='File')
for ax, batch in zip(axes[1:], (1, 64), strict=True):
  values = [times[name, batch] for name in names]
  bars = ax.barh(names, values, color='tab:orange')
  ax.bar_label(bars, fmt='%.2f', padding=2)
  ax.set(xlabel='milliseconds a sample', title=f'Time, batch of {batch}')
axes[0].invert_yaxis()
for ax in axes:
  ax.margins(x=0.25)  # Room for the labels.
figure.tight_layout()

# %% [markdown]
# The file of 2 bits is many times smaller than that of 32 bits. Expanded once
# it is as fast, because the products are computed in float32 either way. Two
# bits save space and not time.
#
# ## Picture
#
# All panels use the same latents. Both programs draw the same images. They
# differ a little from those of the float generator, which has other weights.

# %%
panels = {
  'JAX, float generator': np.asarray(meta.network.apply(meta.params, z))
}
for name in ('int2, expanded once', 'float32'):
  (panels[f'ONNX Runtime, {name}'],) = runs[name].run(None, {'z': z})
figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), dpi=70)
for ax, (title, x) in zip(axes, panels.items(), strict=True):
  ax.imshow(figures.tile(x[:36]), cmap='gray')
  ax.set_title(title, fontsize=10)
  ax.axis('off')
figure.tight_layout()

# %% [markdown]
# ## A variant: in a browser
#
# The package onnxruntime-web runs the same file as WebAssembly. The page below
# needs three of its files, from the folder `dist`: `ort.wasm.min.js`,
# `ort-wasm-simd-threaded.mjs` and `ort-wasm-simd-threaded.wasm`. Copy them
# beside the page, together with the ONNX file. Then start
# `python -m http.server` in this folder, and open
# `http://localhost:8000/edge.html`. This was tried in Chromium with
# onnxruntime-web 1.30 and weights of 2 bits. The WebAssembly file takes 14 MB,
# far more than the generator.

# %%
PAGE = """<!doctype html>
<meta charset="utf-8"><title>Samples</title>
<canvas id="view" style="width: 448px; image-rendering: pixelated"></canvas>
<p id="says"></p>
<script src="ort.wasm.min.js"></script>
<script>
const [rows, size, latent] = [8, SIZE, LATENT];
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random()))
  * Math.cos(2 * Math.PI * Math.random());
(async () => {
  const session = await ort.InferenceSession.create('edge-WEIGHTS.onnx');
  const z = Float32Array.from({length: rows * rows * latent}, normal);
  const {images} = await session.run(
    {z: new ort.Tensor('float32', z, [rows * rows, latent])});
  const view = document.getElementById('view');
  view.width = view.height = rows * size;
  const pixels = view.getContext('2d');
  images.data.forEach((value, i) => {
    const [n, place] = [Math.floor(i / size / size), i % (size * size)];
    const x = (n % rows) * size + place % size;
    const y = Math.floor(n / rows) * size + Math.floor(place / size);
    pixels.fillStyle = `rgb(${Array(3).fill(Math.round(127.5 * (value + 1)))})`;
    pixels.fillRect(x, y, 1, 1);
  });
  document.getElementById('says').textContent = `${rows * rows} samples`;
})();
</script>
"""
page = PAGE.replace('WEIGHTS', 'int2')
page = page.replace('SIZE', str(small.spec.image_shape[0]))
page = page.replace('LATENT', str(small.spec.latent_size))
_ = pathlib.Path('edge.html').write_text(page, encoding='utf8')
