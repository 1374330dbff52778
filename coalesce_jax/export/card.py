"""Writes the model card of a shared generator: Markdown after YAML."""

from collections.abc import Mapping
import json
import re
from typing import Any

from coalesce_jax.core import replacing

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
  # An extra: it is imported where it is needed.
  from coalesce_jax.export import onnx_graphs

  shape = described['image_shape']
  images = len(shape) == 3
  ternary = 'ternary' in described['encodings']
  tags = ['jax', 'onnx', 'gan', 'generative-model', 'wasserstein-barycenter']
  tags += ['ternary'] if ternary else []
  dataset = described['provenance'].get('dataset', 'unknown')
  head = ['---', replacing.CARD_LINE]
  head += ['pipeline_tag: unconditional-image-generation'] if images else []
  head += ['tags:', *(f'- {tag}' for tag in tags)]
  if dataset != 'unknown':
    head += ['datasets:', f'- {json.dumps(dataset)}']
  license = described['license']
  # JSON texts are YAML texts, whatever a bundle names.
  head += [f'license: {json.dumps(license.lower())}'] if license else []
  head.append('---')
  sizes = {name: each['bytes'] for name, each in described['files'].items()}
  what = (
    f'images of {"x".join(map(str, shape))}' if images else
    f'points of {" x ".join(map(str, shape))} numbers'
  )  # fmt: skip
  text = [
    *head,
    '',
    f'# {_plain(described["name"])}',
    '',
    f'This generator makes {what} of {described["latent_size"]} normal random '
    f'numbers. It has {described["parameters"]:,} weights, in a file of '
    f'{sizes["model.safetensors"]:,} bytes.'
    + (' Most of its weights are ternary.' if ternary else ''),
    '',
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
  joined = ', '.join(map(str, shape))
  text.append(_PYTHON.format(shape=joined))
  text += ['With ONNX Runtime, and nothing of this library:', '']
  text.append(
    _ONNX.format(
      file=list(differences)[-1],
      latent=described['latent_size'],
      input=onnx_graphs.INPUT,
      shape=joined,
    )
  )
  text.append(
    'Values lie in [-1, 1], channels last.' if images else
    'Values are those of the points.'
  )  # fmt: skip
  return '\n'.join(text) + '\n'


def _table(head: tuple[str, str], rows: Mapping[str, Any]) -> list[str]:
  lines = [f'| {head[0]} | {head[1]} |', '|---|---|']
  return lines + [f'| {_plain(k)} | {_plain(v)} |' for k, v in rows.items()]


def _plain(text: Any) -> str:
  """Returns untrusted text as one cell without markup."""
  line = ' '.join(str(text).split())
  return ''.join(f'\\{c}' if c in '\\`*_[]<>|#!&' else c for c in line)
