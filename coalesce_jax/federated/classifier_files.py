"""Files of classifiers and of meta-parameters, read within strict bounds.

A file is a safetensors file like a bundle, see `models.bundle`, with a manifest
of its own. It comes from another node and is untrusted. The header is bounded.
Names, types, shapes and places of all tensors must be those that follow from
the manifest. Only then is the payload read, compared with its digest, and
checked to be finite. Nothing is unpickled.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import math
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import real_arrays
from coalesce_jax.core import trees
from coalesce_jax.federated import classifier
from coalesce_jax.federated import learn
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import settings
from coalesce_jax.models import bundle
from coalesce_jax.models import header as header_lib
from coalesce_jax.models import manifest as manifest_lib
from coalesce_jax.models import untrusted

VERSION = 2
KINDS = ('meta', 'task')
BundleError = bundle.BundleError
Path = str | os.PathLike[str]
_FIELDS = {
  manifest_lib.CLASSIFIER, 'kind', 'names', 'payload_sha256', 'spec', 'step',
}  # fmt: skip
# Attributes of `learn.Meta` that say how a new node adapts.
_STEP: Mapping[str, tuple[type, ...]] = {
  'order': (str,), 'rho': (int, float), 'target': (int, float),
  'fixed': (bool,),
}  # fmt: skip
_LISTS = ('image_shape', 'widths', 'groups')


class Contents(NamedTuple):
  """What a manifest promises.

  Attributes:
    kind: 'meta' for meta-parameters, 'task' for a classifier of one task.
    spec: the network.
    step: how a new node adapts, see `learn.Meta`; empty of a task.
    names: names of the classes.
    shapes: shapes of the leaves, by name.
  """

  kind: str
  spec: classifier.Spec
  step: Mapping[str, Any]
  names: tuple[str, ...]
  shapes: Mapping[str, header_lib.Shape]


def save(path: Path, model: learn.Meta | classifier.Classifier) -> None:
  """Writes a file atomically; equal models give equal bytes.

  Args:
    path: path of the file.
    model: meta-parameters of one seed, or a classifier.

  Raises:
    ValueError: parameters do not fit the network or are not finite.
  """
  files.write_bytes(path, encode(model))


def encode(model: learn.Meta | classifier.Classifier) -> bytes:
  """Returns the bytes of a file; see `save` for arguments and errors."""
  described: dict[str, Any] = dataclasses.asdict(model.spec)
  meta = isinstance(model, learn.Meta)
  manifest = {
    manifest_lib.CLASSIFIER: VERSION,
    'kind': 'meta' if meta else 'task',
    'spec': described,
    'step': {k: getattr(model, k) for k in _STEP} if meta else {},
    'names': () if isinstance(model, learn.Meta) else model.names,
    'payload_sha256': '',
  }
  contents = parse(_plain(manifest))
  given = trees.flatten(model.params)
  blocks, places, offset = [], {}, 0
  for name in sorted(contents.shapes):
    shape = contents.shapes[name]
    found = np.shape(given[name]) if name in given else 'missing'
    if found != shape:
      raise ValueError(f'leaf {name!r} is {found}, its network has {shape}')
    leaf = real_arrays.convert(given.pop(name), name).astype(np.float32)
    if not np.all(np.isfinite(leaf)):
      raise ValueError(f'{name}: not finite')
    blocks.append(np.ascontiguousarray(leaf).tobytes())
    places[name] = header_lib.Place('F32', shape, offset)
    offset += len(blocks[-1])
  if given:
    raise ValueError(f'leaf {min(given)!r} is not in its network')
  manifest['payload_sha256'] = files.digest(blocks)
  return b''.join([header_lib.encode(_plain(manifest), places), *blocks])


def load(path: Path) -> learn.Meta | classifier.Classifier:
  """Reads meta-parameters or a classifier.

  Args:
    path: path of the file.

  Raises:
    BundleError: the file is missing, damaged, too large, or anything else.
  """
  with bundle.opened(path) as file:
    header = bundle.header_of(path, file)
    contents = parse(header.manifest)
    tensors = {
      name: header_lib.Tensor('F32', [shape])
      for name, shape in contents.shapes.items()
    }
    places = header_lib.layout(tensors, header.entries, header.payload_size)
    payload = file.read(header.payload_size)
    if files.digest([payload]) != header.manifest['payload_sha256']:
      raise ValueError("damaged, its sha256 is not the manifest's")
    leaves = {}
    for name, (type_, shape, offset) in places.items():
      value = np.frombuffer(
        payload, header_lib.TYPES[type_], math.prod(shape), offset
      )
      if not np.all(np.isfinite(value)):
        raise ValueError(f'{name}: holds values that are not finite')
      leaves[name] = jnp.asarray(value.reshape(shape))
  # A part without leaves, such as the gates of a static network, has no name.
  params: dict[str, Any] = {part: {} for part in _parts(contents.kind)}
  params |= trees.unflatten(leaves)
  if contents.kind == 'meta':
    return learn.Meta(contents.spec, params, **contents.step)
  return classifier.Classifier(contents.spec, params, contents.names)


def load_meta(path: Path) -> learn.Meta:
  """Reads meta-parameters.

  Raises:
    BundleError: see `load`; the file holds the classifier of a task.
  """
  found = load(path)
  if isinstance(found, learn.Meta):
    return found
  raise BundleError(
    f'{files.shown(path)}: the classifier of one task, which is adapted '
    'already; name the file of `coalesce federated run`'
  )


def describe(path: Path) -> dict[str, Any]:
  """Describes a file as JSON values; reads no parameters.

  Raises:
    BundleError: see `load`.
  """
  with bundle.opened(path) as file:
    contents = parse(bundle.header_of(path, file).manifest)
  return {
    'kind': contents.kind,
    'names': list(contents.names),
    'parameters': sum(math.prod(s) for s in contents.shapes.values()),
    'macs': classifier.total(contents.spec),
    'spec': _plain(dataclasses.asdict(contents.spec)),
  }


def parse(manifest: Mapping[str, Any]) -> Contents:
  """Checks an untrusted manifest.

  Raises:
    ValueError: it promises what cannot be, or too much.
  """
  version = manifest.get(manifest_lib.CLASSIFIER)
  if version is None:
    raise ValueError('a bundle of another kind, no gated classifier')
  if version != VERSION:
    raise ValueError(
      f'classifier version {str(version)[:20]}, this program reads {VERSION}'
    )
  if set(manifest) != _FIELDS:
    raise ValueError(
      f'the manifest has the fields {str(sorted(manifest)):.200}'
    )
  kind = untrusted.one_of('kind', manifest['kind'], KINDS)
  step = _step(manifest['step'], _STEP if kind == 'meta' else {})
  untrusted.text(manifest['payload_sha256'])
  spec = _spec(manifest['spec'])
  names = tuple(untrusted.names(manifest['names']))
  if len(names) > spec.classes:
    raise ValueError(f'{len(names)} names of {spec.classes} classes')
  shapes = _shapes(spec, kind)
  size = 4 * sum(map(math.prod, shapes.values()))
  if size > header_lib.MAX_BYTES:
    raise ValueError(f'{size} bytes of tensors exceed {header_lib.MAX_BYTES}')
  return Contents(kind, spec, step, names, shapes)


def _step(
  given: Any, wanted: Mapping[str, tuple[type, ...]]
) -> Mapping[str, Any]:
  """Checks how a new node adapts: `wanted` are types of values by name."""
  if not isinstance(given, dict) or set(given) != set(wanted):
    raise ValueError('the step of adaptation has other fields')
  for name, kinds in wanted.items():
    if type(given[name]) not in kinds:
      raise ValueError(f'{name} is {str(given[name])[:20]!r}')
  settings.Config(**{k: v for k, v in given.items() if k != 'fixed'})
  return given


def _spec(given: Any) -> classifier.Spec:
  fields = {field.name for field in dataclasses.fields(classifier.Spec)}
  if not isinstance(given, dict) or set(given) != fields:
    raise ValueError('the spec of the network has other fields')
  for name in _LISTS:
    if not isinstance(given[name], list) or len(given[name]) > 16:
      raise ValueError(f'{name} {str(given[name])[:60]} is no short list')
  for sizes in given['groups']:
    if not isinstance(sizes, list) or len(sizes) > untrusted.MAX_NAMES:
      raise ValueError(f'groups {str(sizes)[:60]} are no list of sizes')
  groups = tuple(tuple(sizes) for sizes in given['groups'])
  plain = {name: tuple(given[name]) for name in ('image_shape', 'widths')}
  return classifier.Spec(**{**given, **plain, 'groups': groups})


@functools.lru_cache(maxsize=64)
def _shapes(spec: classifier.Spec, kind: str) -> Mapping[str, header_lib.Shape]:
  """Returns the shapes of all leaves; computes nothing."""
  if kind == 'meta':
    made = jax.eval_shape(
      lambda: meta_lib.start(spec, settings.Config(), jax.random.key(0))
    )
  else:
    made = jax.eval_shape(lambda: spec.build().init(jax.random.key(0)))
  return {name: leaf.shape for name, leaf in trees.flatten(made).items()}


def _parts(kind: str) -> Sequence[str]:
  parts = ('backbone', 'gates')
  return (*parts, meta_lib.RATES) if kind == 'meta' else parts


def _plain(value: Any) -> Any:
  """Returns plain JSON values: tuples become lists."""
  if isinstance(value, Mapping):
    return {name: _plain(each) for name, each in value.items()}
  if isinstance(value, tuple | list):
    return [_plain(each) for each in value]
  return value
