"""Bundles whose header, manifest or payload somebody changed."""

import json
import struct
import tracemalloc

import pytest

import coalesce_jax as cj
from coalesce_jax.core import files
from coalesce_jax.models import bundle
from tests import small

KEY = 'coalesce_jax'


def parts(data):
  """Header as JSON values, and payload."""
  (length,) = struct.unpack('<Q', data[:8])
  return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header, payload):
  """The inverse of `parts`."""
  text = json.dumps(header).encode()
  return struct.pack('<Q', len(text)) + text + payload


def edited(change, generator=None):
  """A bundle after `change(header, manifest, payload)`.

  The change edits header and manifest in place. A payload that it returns takes
  the place of the former one, with a digest to match.
  """
  if generator is None:
    generator = small.drawn(small.VECTORS)
  header, payload = parts(bundle.encode(generator))
  manifest = json.loads(header['__metadata__'][KEY])
  changed = change(header, manifest, payload)
  if changed is not None:
    payload = changed
    manifest['payload_sha256'] = files.digest([payload])
  header['__metadata__'][KEY] = json.dumps(manifest)
  return joined(header, payload)


def check_refused(path, data, match):
  """Bytes that `load` refuses in one short line, without taking much memory."""
  path.write_bytes(data)
  tracemalloc.start()
  with pytest.raises(cj.BundleError, match=match) as caught:
    cj.load(path)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  text = str(caught.value)
  assert text.startswith(f'{path}: ') and '\n' not in text and len(text) < 700
  assert peak < 20_000_000
