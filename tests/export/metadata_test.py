"""Descriptions of programs: what they say, and what is none."""

import dataclasses
import hashlib
import importlib.metadata
import json

import pytest

from coalesce_jax.export import metadata
from tests import small


def made(spec=small.IMAGES, **changes):
  given = {
    'format': 'onnx', 'weights': 'float32', 'tolerance': 1e-4,
    'max_difference': 2e-7, 'source_sha256': None, 'packages': ('numpy',),
  }  # fmt: skip
  return metadata.make(spec, b'program', **{**given, **changes})


def test_a_description_survives_json():
  found = metadata.parse(json.dumps(made()))
  assert found['program_sha256'] == hashlib.sha256(b'program').hexdigest()
  assert found['value_range'] == [-1.0, 1.0] and found['tolerance'] == 1e-4
  assert found['max_difference'] == 2e-7 and found['source_sha256'] is None
  assert found['versions'] == {
    name: importlib.metadata.version(name)
    for name in ('coalesce_jax', 'jax', 'numpy')
  }


def test_plain_vectors_have_no_range():
  assert made(small.VECTORS)['value_range'] is None


def test_ternary_leaves_are_described_and_those_of_other_encodings_are_not():
  half, ternary = {'leaves': ['a']}, {'scheme': 'twn', 'leaves': ['b']}
  spec = dataclasses.replace(small.IMAGES, encodings={'half': half})
  assert made(spec) == made()
  assert made()['ternary'] is None
  both = {'half': half, 'ternary': ternary}
  spec = dataclasses.replace(small.IMAGES, encodings=both)
  assert made(spec) == {**made(), 'ternary': ternary}


@pytest.mark.parametrize(
  'change',
  [
    {'latent_size': 0},
    {'latent_size': (1 << 20) + 1},
    {'latent_size': True},
    {'latent_size': '4'},
    {'image_shape': [8, 8, 1.5]},
    {'image_shape': [8, -1]},
    {'image_shape': None},
    {'program_sha256': None},
  ],
)
def test_a_description_without_honest_sizes_is_damaged(change):
  with pytest.raises(ValueError, match='^its description is damaged$'):
    metadata.parse(json.dumps({**made(), **change}))


@pytest.mark.parametrize('text', ['', '[]', '3', '{}', '[' * 90000])
def test_what_is_no_description_is_damaged(text):
  with pytest.raises(ValueError, match='^its description is damaged$'):
    metadata.parse(text)


def test_other_versions_are_refused():
  with pytest.raises(ValueError, match='version 2, this program reads 1'):
    metadata.parse(json.dumps({**made(), 'format_version': 2}))


@pytest.mark.parametrize(
  ('version', 'end'), [(2, ': update this one$'), (0, 'reads 1$')]
)
def test_what_a_newer_version_wrote_needs_a_newer_one(version, end):
  text = json.dumps({**made(), 'format_version': version})
  with pytest.raises(ValueError, match=end):
    metadata.parse(text)
