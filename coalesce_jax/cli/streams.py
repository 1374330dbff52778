"""Learns tasks one after another, and uses them: stream run, add, apply."""

from collections.abc import Iterator
import contextlib
import os
import pathlib
from typing import Any

import jax
import numpy as np

from coalesce_jax.cli import applying
from coalesce_jax.cli import inspection
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.continual import family_files
from coalesce_jax.continual import family_locks
from coalesce_jax.continual import learn
from coalesce_jax.continual import settings
from coalesce_jax.continual import stream
from coalesce_jax.core import files
from coalesce_jax.core import trees
from coalesce_jax.federated import classifier_files
from coalesce_jax.models import bundle
from coalesce_jax.models import manifest
from coalesce_jax.models import translator
from coalesce_jax.pipeline import stream_run
from coalesce_jax.pipeline import stream_tasks
from coalesce_jax.runs import progress
from coalesce_jax.runs import workdir


def run(values: Values, stop: Stop) -> dict[str, Any]:
  """Learns the tasks of a configuration."""
  if values.out:
    outputs.file('out', values.out, outputs.BUNDLE)
    outputs.check_workdir(values.workdir, (values.out,))
  return stream_run.run(
    values.config, values.workdir, values.out, stop, values.track or ()
  )


def add(values: Values, stop: Stop) -> dict[str, Any]:
  """Learns one more task of a family.

  The files of the family and of the result are locked meanwhile, so that no
  other process adds to them.
  """
  out = outputs.file('out', values.out or values.family, outputs.BUNDLE)
  with _held(out, values.family):
    return _added(values, stop, out)


@contextlib.contextmanager
def _held(out: str, family: str) -> Iterator[None]:
  """Locks the file that is written, and the one that is read if one can."""
  paths = {os.path.realpath(out): out}
  folder = os.path.dirname(os.path.abspath(family))
  if os.path.isfile(family) and os.access(folder, os.W_OK):
    paths.setdefault(os.path.realpath(family), family)
  with contextlib.ExitStack() as held:
    for path in paths.values():
      held.enter_context(family_locks.locked(path))
    yield


def _added(values: Values, stop: Stop, out: str) -> dict[str, Any]:
  family = family_files.load(values.family)
  given: dict[str, Any] = {
    name: values[name].value
    for name in (
      'data_dir', 'direction', 'layout', 'steps', 'critic_width', 'batch_size',
      'learning_rate',
    )
  }  # fmt: skip
  chosen = stream_tasks.Settings(spec=family.members[0].spec, **given)
  source = stream_tasks.parse(values.data, chosen, values.name)
  paired = ('direction', 'layout', 'critic_width')
  for flag in paired if source.method == stream_tasks.LATENT else ():
    if values[flag].present:
      raise ValueError(
        f'--{flag} is of families that translate, and {values.family} makes '
        'images of latents; leave it out'
      )
  learn.named(family, source.name)
  options = {'share': values.share, 'start': values.start}
  place = values.workdir or f'{out}.{source.name}.run'
  outputs.check_workdir(place, (out, values.family), values.data)
  (task,) = stream_tasks.load([source], chosen, progress=progress.steps)
  learn.check(family, task, settings.Piggyback(**options))
  given = {
    name: values[name].value
    for name in values
    if name not in ('workdir', 'verbosity', 'traceback', 'track')
  }
  given['family_sha256'] = files.sha256(values.family)
  given['data_sha256'] = files.digest(
    np.ascontiguousarray(x) for x in jax.tree.leaves(task.problem.args)
  )
  with workdir.open_workspace(
    place, config=given, stop=stop, track=values.track or ()
  ) as work:
    key = jax.random.fold_in(jax.random.key(values.seed), len(family.members))
    member, _ = learn.grow(key, family, task, hooks=work.hooks(None), **options)
    family_files.add(values.family, member, out)
  made = family_files.load_member(out, source.name)
  scores = stream.evaluate(stream.Model(made.network, made.params), task, False)
  return {
    'family': out,
    'task': source.name,
    'tasks': [*(m.name for m in family.members), source.name],
    'stored': trees.count(member.latent),
    'share': round(trees.count(member.latent) / trees.count(made.params), 4),
    'file_bytes': pathlib.Path(out).stat().st_size,
    'workdir': place,
    **{name: float(value) for name, value in (scores or {}).items()},
  }


def apply(values: Values, stop: Stop) -> dict[str, Any]:
  """Translates pictures by a task, or draws samples of it."""
  del stop
  made = family_files.load_member(values.family, values.task)
  name = f'{values.family}, {values.task}'
  if isinstance(made, translator.Translator):
    if not values.input:
      raise ValueError(f'--input is missing: {name} translates pictures')
    return applying.translated(
      values, lambda: applying.of_translator(made, name)
    )
  if values.input:
    raise ValueError(
      f'--input={values.input}: {name} makes images of latents and translates '
      'none; leave it out'
    )
  key = jax.random.key(values.seed)
  return inspection.drawn(
    values, name,
    lambda: (made.spec.image_shape, lambda: made.sample(key, values.n)),
  )  # fmt: skip


def export(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes the generator of a task as a bundle of its own."""
  del stop
  outputs.file('out', values.out, outputs.BUNDLE)
  outputs.is_no_input('out', values.out, family=[values.family])
  made = family_files.load_member(values.family, values.task)
  bundle.save(values.out, made)
  return {
    'bundle': values.out,
    'task': values.task,
    'bytes': pathlib.Path(values.out).stat().st_size,
  }


def inspect(values: Values, stop: Stop) -> dict[str, Any]:
  """Describes a family, a bundle or a classifier; reads no parameters."""
  del stop
  path = values.node
  with bundle.opened(path) as file:
    found = bundle.header_of(path, file).manifest
  if manifest.CLASSIFIER in found:
    made = classifier_files.describe(path)
    return {'node': path, 'bytes': os.path.getsize(path), **made}
  if manifest.FAMILY not in found:
    found = bundle.inspect(path)
    return {'node': path, 'bytes': os.path.getsize(path), 'manifest': found}
  members = family_files.describe(path)
  return {
    'node': path,
    'bytes': os.path.getsize(path),
    'parameters': sum(member['parameters'] for member in members),
    'members': members,
  }
