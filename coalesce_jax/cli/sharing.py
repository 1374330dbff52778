"""Makes a bundle ready for a model hub: share."""

from collections.abc import Mapping
import pathlib
from typing import Any

import numpy as np

from coalesce_jax.cli import applying
from coalesce_jax.cli import common
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import files
from coalesce_jax.data import conditions
from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pair_settings
from coalesce_jax.export import card
from coalesce_jax.export import sharing
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.models import zoo
from coalesce_jax.runs import pictures
from coalesce_jax.runs import progress

# Rows of a picture of examples, and the largest side of each that is shown.
_ROWS, _SIDE = 4, 512


def share(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes a bundle as the files of a model hub, after comparing with JAX."""
  del stop
  outputs.folder('out', values.out)
  target = str(pathlib.Path(values.out) / sharing.BUNDLE)
  outputs.is_no_input('out', target, node=[values.node])
  sharing.check(values.out)
  card.check_license(values.license)
  generator = common.load('node', values.node, translators=True)
  example = None
  if values.pictures is not None:
    example = _example(values.pictures, values.node, generator)
  scores = _known_scores(pathlib.Path(values.node), generator.spec.provenance)
  with progress.working(f'describing {values.node}'):
    try:
      contents = sharing.build(
        generator,
        source_sha256=bundle.inspect(values.node)['payload_sha256'],
        name=pathlib.Path(values.node).stem,
        scores=scores,
        license=values.license,
        example=example,
      )
    except ValueError as error:
      raise ValueError(f'{values.node}: cannot be shared: {error}') from None
  paths = sharing.keep(values.out, contents)
  return {
    'out': values.out,
    'files': paths,
    'bytes': len(contents[sharing.BUNDLE]),
    'scores': scores,
  }


def _example(path: str, node: str, model: translator_lib.Model) -> bytes:
  """Returns a PNG file of pictures beside their translations.

  Args:
    path: a picture, or a folder of which the first few are shown.
    node: the file of the translator, for messages.
    model: the translator.

  Raises:
    ValueError: the bundle is that of a generator, or a picture cannot be read.
  """
  if not isinstance(model, translator_lib.Translator):
    raise ValueError(
      f'--pictures={path}: {node} makes images of latents and translates none; '
      'leave the flag out'
    )
  channels = applying.of_pictures(node, *applying.channels_of(model))
  chosen = pair_settings.Settings(
    preprocess='none', condition_channels=channels
  )
  found = conditions.find(path, chosen, translator_lib.LEAST_SIDE)
  # As they are and not scaled: the network knows details of one scale.
  shown = [
    pair_geometry.middle(found.read(row), (_SIDE, _SIDE))
    for row in range(min(_ROWS, len(found.names)))
  ]
  made = [np.asarray(model.apply(image[None]))[0] for image in shown]
  return common.png(pictures.columns([shown, made]))


def _known_scores(
  path: pathlib.Path, provenance: Mapping[str, str]
) -> dict[str, float]:
  """Finds the scores of a bundle of the zoo, or of a run of the pipeline.

  Those of a run lie in `scores.json` beside the folder of its bundles, by the
  stage and the replica that the bundle names.
  """
  digest = files.sha256(path)
  for entry in zoo.index().values():
    if entry['sha256'] == digest:
      return dict(entry['scores'])
  stage, member = provenance.get('stage', ''), provenance.get('member', '')
  kept = path.parent.parent / 'scores.json'
  if not member.isdecimal() or not kept.is_file():
    return {}
  if path.name != ensembles.path(path.parent, stage, int(member)).name:
    return {}
  try:
    row = files.read_json(kept).get(stage)
  except ValueError:
    # Damaged scores are no fault of the bundle.
    return {}
  found = {}
  for name, values in (row if isinstance(row, dict) else {}).items():
    if isinstance(values, list) and int(member) < len(values):
      value = values[int(member)]
      # Of the table of scores, these two describe the file itself.
      if isinstance(value, int | float) and name not in ('parameters', 'bytes'):
        found[name] = float(value)
  return found
