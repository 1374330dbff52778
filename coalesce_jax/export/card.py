"""Writes the card of a shared generator or translator: Markdown after YAML."""

from collections.abc import Mapping
import json
import re
from typing import Any

from coalesce_jax.core import replacing

# The picture of examples beside a card.
EXAMPLE = 'example.png'
_PYTHON = """\
```python
import coalesce_jax as cj
import jax

generator = cj.load('model.safetensors')
samples = generator.sample(jax.random.key(0), 64)  # [64, {shape}]
```
"""
_ONNX = """\
```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession('{file}')
z = np.random.default_rng(0).standard_normal((64, {latent}), np.float32)
samples = session.run(None, {{'{input}': z}})[0]  # [64, {shape}]
```
"""


_TRANSLATE = """\
```python
import coalesce_jax as cj
import numpy as np

translator = cj.load('model.safetensors')
images = np.zeros((1, {condition}), np.uint8)  # your pictures, of any size
results = translator(images)  # [1, {shape}] in [-1, 1]
```
"""
_TRANSLATE_ONNX = """\
```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession('{file}')
images = np.zeros((1, {condition}), np.float32)  # in [-1, 1], of any size
results = session.run(None, {{'{input}': images}})[0]  # [1, {shape}]
```
"""


def check_license(license: str | None) -> None:
  """Checks that a license is a name, as model hubs write it, or None.

  Raises:
    ValueError: it is anything else.
  """
  if license is not None and not re.fullmatch(r'[A-Za-z0-9.+-]{1,60}', license):
    raise ValueError(
      f'license {license[:60]!r} is not a name such as cc-by-4.0 or mit'
    )


def write(
  described: Mapping[str, Any], differences: Mapping[str, float]
) -> str:
  """Returns the text of a card.

  Args:
    described: contents of `config.json`, see `sharing.build`.
    differences: largest difference of samples from those of JAX, by program.
  """
  shape = described['image_shape']
  images, translates = len(shape) == 3, 'condition_shape' in described
  ternary = 'ternary' in described['encodings']
  tags = ['jax', 'onnx', 'gan', 'generative-model', 'wasserstein-barycenter']
  task = 'unconditional-image-generation'
  if translates:
    tags, task = ['jax', 'onnx', 'gan', 'image-translation'], 'image-to-image'
  tags += ['ternary'] if ternary else []
  dataset = described['provenance'].get('dataset', 'unknown')
  head = ['---', replacing.CARD_LINE]
  head += [f'pipeline_tag: {task}'] if images else []
  head += ['tags:', *(f'- {tag}' for tag in tags)]
  if dataset != 'unknown':
    head += ['datasets:', f'- {json.dumps(dataset)}']
  license = described['license']
  # JSON texts are YAML texts, whatever a bundle names.
  head += [f'license: {json.dumps(license.lower())}'] if license else []
  head.append('---')
  sizes = {name: each['bytes'] for name, each in described['files'].items()}
  text = [
    *head,
    '',
    f'# {_plain(described["name"])}',
    '',
    f'{_what(described)} It has {described["parameters"]:,} weights, in a file '
    f'of {sizes["model.safetensors"]:,} bytes.'
    + (' Most of its weights are ternary.' if ternary else ''),
    '',
    *_example(sizes),
    f'License: {license}.'
    if license
    else 'No license is stated. Ask whoever made it before you use it.',
    '',
    '## What it was made from',
    '',
    *_table(
      ('what', 'value'),
      {
        **described['provenance'],
        'network': described['network'],
        'sha256 of the weights it came from': described['source_sha256'],
      },
    ),
    '',
    '## Scores',
    '',
  ]
  if described['scores']:
    text += _table(
      ('score', 'value'),
      {name: f'{x:.4g}' for name, x in described['scores'].items()},
    )
  else:
    text.append('No scores came with the bundle.')
  text += [
    '',
    '## Files',
    '',
    *_table(
      ('file', 'bytes'), {name: f'{size:,}' for name, size in sizes.items()}
    ),
    '',
    'Samples of the ONNX programs differ from those of JAX by at most '
    f'{max(differences.values()):.1e}.',
    '',
    '## How to load it',
    '',
  ]
  text += _programs(described, list(differences)[-1])
  text.append(
    'Values lie in [-1, 1], channels last.' if images else
    'Values are those of the points.'
  )  # fmt: skip
  return '\n'.join(text) + '\n'


def _what(described: Mapping[str, Any]) -> str:
  """Returns a sentence on what a network makes of what."""
  shape = described['image_shape']
  sizes = 'x'.join(map(str, shape))
  if 'condition_shape' in described:
    high, wide, channels = described['condition_shape']
    return (
      f'This network translates {_images(channels)} to {_images(shape[2])}. It '
      f'was trained on {high}x{wide} pixels and takes any size '
      'from 2 pixels a side.'
    )
  what = (
    f'images of {sizes}' if len(shape) == 3 else
    f'points of {" x ".join(map(str, shape))} numbers'
  )  # fmt: skip
  return (
    f'This generator makes {what} of {described["latent_size"]} normal random '
    'numbers.'
  )


def _images(channels: int) -> str:
  names = {1: 'grey images', 3: 'colour images'}
  return names.get(channels, f'images of {channels} channels')


def _example(sizes: Mapping[str, int]) -> list[str]:
  """Returns the lines that show the picture of examples, if there is one."""
  if EXAMPLE not in sizes:
    return []
  return [
    f'![Inputs, and what the network makes of them]({EXAMPLE})',
    '',
    'Left: inputs. Right: what the network makes of them.',
    '',
  ]


def _programs(described: Mapping[str, Any], file: str) -> list[str]:
  """Returns programs that load the bundle, and the ONNX file."""
  # An extra: it is imported where it is needed.
  from coalesce_jax.export import onnx_graphs
  from coalesce_jax.export import onnx_translators

  shape = ', '.join(map(str, described['image_shape']))
  between = ['With ONNX Runtime, and nothing of this library:', '']
  if 'condition_shape' in described:
    condition = ', '.join(map(str, described['condition_shape']))
    return [
      _TRANSLATE.format(condition=condition, shape=shape),
      *between,
      _TRANSLATE_ONNX.format(
        file=file, condition=condition, input=onnx_translators.INPUT,
        shape=shape,
      ),
    ]  # fmt: skip
  return [
    _PYTHON.format(shape=shape),
    *between,
    _ONNX.format(
      file=file, latent=described['latent_size'], input=onnx_graphs.INPUT,
      shape=shape,
    ),
  ]  # fmt: skip


def _table(head: tuple[str, str], rows: Mapping[str, Any]) -> list[str]:
  lines = [f'| {head[0]} | {head[1]} |', '|---|---|']
  return lines + [f'| {_plain(k)} | {_plain(v)} |' for k, v in rows.items()]


def _plain(text: Any) -> str:
  """Returns untrusted text as one cell without markup."""
  line = ' '.join(str(text).split())
  return ''.join(f'\\{c}' if c in '\\`*_[]<>|#!&' else c for c in line)
