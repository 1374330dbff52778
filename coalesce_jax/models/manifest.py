"""Manifests: what the header of an untrusted bundle may promise.

A manifest is checked against the registry of networks and the table of
encodings. The names, types and shapes of all tensors in the file follow from
it. Nothing here takes memory for tensors.
"""

from collections.abc import Mapping
import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.models import encodings
from coalesce_jax.models import generator
from coalesce_jax.models import header
from coalesce_jax.models import untrusted

FORMAT_VERSION = 1
# Every other key of a manifest is the name of an encoding.
FIELDS = frozenset({
  'condition_shape', 'critic', 'critic_options', 'format_version',
  'image_shape', 'latent_size', 'network', 'options', 'payload_sha256',
  'provenance', 'value_range',
})  # fmt: skip
# Key of the manifest of a family of generators, see `continual.family_files`.
FAMILY = 'family_version'
# Key of the manifest of a gated classifier, see `federated.classifier_files`.
CLASSIFIER = 'classifier_version'
# Manifests of version 1 always have this encoding, as null if it is not used.
_ALWAYS = 'ternary'


class Contents(NamedTuple):
  """Lists what a file holds.

  Attributes:
    spec: the spec of the generator; the file holds a critic if it names one.
    descriptions: checked descriptions, by name of the encoding.
    leaves: the leaves of the generator and their encodings, by name.
    critic: shapes of the leaves of the critic, by name.
  """

  spec: generator.Spec
  descriptions: dict[str, dict[str, Any]]
  leaves: dict[str, encodings.Leaf]
  critic: dict[str, header.Shape]


def contents(
  spec: generator.Spec,
  descriptions: Mapping[str, Any],
  table: encodings.Table,
  file_values: Mapping[str, Any] = {},
) -> Contents:
  """Derives what a file of a generator holds.

  Args:
    spec: the spec of the generator, whose `encodings` are not read.
    descriptions: untrusted descriptions, by name of the encoding.
    table: the encodings that are known.
    file_values: see `encodings.checked`.

  Returns:
    The contents. Their spec has the checked encodings.

  Raises:
    ValueError: the networks cannot be built within bounds, or an encoding is
      unknown, badly described, or does not fit the generator.
  """
  leaves, critic = dict(_shapes(spec.build())), {}
  if spec.critic is not None:
    critic = dict(_shapes(spec.build_critic()))
  total = sum(map(math.prod, [*leaves.values(), *critic.values()]))
  if 4 * total > header.MAX_BYTES:
    raise ValueError(f'{total} parameters are too many')
  checked = encodings.checked(descriptions, table, file_values)
  kept = encodings.without_file_keys(checked, table)
  return Contents(
    dataclasses.replace(spec, encodings=kept),
    checked,
    encodings.cover(leaves, checked, table),
    critic,
  )


@functools.lru_cache(maxsize=64)
def _shapes(network: types.Network) -> Mapping[str, header.Shape]:
  shapes = jax.eval_shape(network.init, jax.random.key(0))
  return {name: leaf.shape for name, leaf in trees.flatten(shapes).items()}


def tensors(contents: Contents) -> dict[str, header.Tensor]:
  """Returns the types and shapes of all tensors in the file, by name."""
  wanted = {
    f'generator/{name}{suffix}': tensor
    for name, leaf in contents.leaves.items()
    for suffix, tensor in encodings.tensors(leaf).items()
  }
  for name, shape in contents.critic.items():
    wanted[f'critic/{name}'] = header.Tensor('F32', [shape])
  return wanted


def make(contents: Contents, payload_sha256: str) -> dict[str, Any]:
  """Makes the manifest of a file.

  Args:
    contents: what the file holds.
    payload_sha256: digest of all tensors in the order of the file.

  Raises:
    ValueError: an encoding has the name of a field.
  """
  spec, descriptions = contents.spec, contents.descriptions
  taken = FIELDS & descriptions.keys()
  if taken:
    raise ValueError(f'no encoding may have the name {min(taken)!r}')
  condition = {}
  if spec.condition_shape is not None:
    condition = {'condition_shape': list(spec.condition_shape)}
  return {
    'format_version': FORMAT_VERSION,
    'network': spec.network,
    'options': _plain(spec.options),
    'latent_size': spec.latent_size,
    'image_shape': list(spec.image_shape),
    'value_range': [-1.0, 1.0],
    'critic': spec.critic,
    'critic_options': _plain(spec.critic_options),
    'provenance': dict(spec.provenance),
    'payload_sha256': payload_sha256,
    _ALWAYS: None,
    **condition,
    **descriptions,
  }


def _plain(options: generator.Options) -> dict[str, Any]:
  return {k: list(v) if isinstance(v, tuple) else v for k, v in options}


def parse(manifest: Mapping[str, Any], table: encodings.Table) -> Contents:
  """Checks an untrusted manifest.

  Args:
    manifest: untrusted mapping.
    table: the encodings that are known.

  Returns:
    What the file holds, if it holds what its manifest promises.

  Raises:
    ValueError: the manifest promises what cannot be, or too much.
  """
  if FAMILY in manifest:
    raise ValueError('a family of generators, which `continual.family` reads')
  if CLASSIFIER in manifest:
    raise ValueError('a gated classifier, which `coalesce federated` reads')
  version = manifest.get('format_version')
  if version != FORMAT_VERSION:
    newer = isinstance(version, int) and version > FORMAT_VERSION
    raise ValueError(
      f'format version {str(version)[:20]}, this program reads {FORMAT_VERSION}'
      + ('; a newer coalesce_jax wrote it: update this one' if newer else '')
    )
  try:
    descriptions = {k: v for k, v in manifest.items() if k not in FIELDS}
    if manifest[_ALWAYS] is None:
      del descriptions[_ALWAYS]
    return contents(_spec(manifest), descriptions, table)
  except (KeyError, TypeError, AttributeError) as error:
    raise ValueError(f'manifest is incomplete ({error})') from None


def _spec(manifest: Mapping[str, Any]) -> generator.Spec:
  """Reads the spec of a manifest, without its encodings."""
  has_critic = manifest['critic'] is not None
  if manifest['value_range'] != [-1.0, 1.0]:
    raise ValueError(f'value range {str(manifest["value_range"])[:40]}')
  untrusted.text(manifest['payload_sha256'])
  condition, latent_size = None, manifest['latent_size']
  if 'condition_shape' in manifest:
    condition = untrusted.sizes(manifest['condition_shape'])
    if latent_size != 0 or isinstance(latent_size, bool):
      raise ValueError(f'latent_size {str(latent_size)[:40]} of a translator')
  else:
    latent_size = untrusted.sizes([latent_size])[0]
  return generator.Spec(
    network=untrusted.text(manifest['network']),
    latent_size=latent_size,
    condition_shape=condition,
    image_shape=untrusted.sizes(manifest['image_shape']),
    options=untrusted.options(manifest['options']),
    critic=untrusted.text(manifest['critic']) if has_critic else None,
    critic_options=untrusted.options(manifest['critic_options']),
    provenance={
      untrusted.text(k): untrusted.text(v)
      for k, v in manifest['provenance'].items()
    },
  )
