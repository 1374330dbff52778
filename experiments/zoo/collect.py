"""Copies the bundles of finished runs into the package, with an index.

  python -m experiments.zoo.collect --workdirs=DIR,DIR --out=FOLDER

Each folder is the work folder of `configs/default.py`. The index says of every
bundle its file, SHA-256, classes, bytes, scores and the command that made it.
"""

import argparse
import json
import pathlib
from typing import Any

from coalesce_jax.core import files
from coalesce_jax.models import bundle

FOLDER = pathlib.Path(__file__).parents[2] / 'coalesce_jax' / 'models' / 'zoo'
SCORES = ('frechet', 'real', 'kid', 'precision', 'recall', 'coverage')
STAGES = ('node_0', 'node_1', 'barycenter')
MAX_BYTES = 3_000_000
_COMMAND = (
  'coalesce run --config=experiments/zoo/configs/default.py:{} --workdir=DIR'
)


def entry(
  workdir: pathlib.Path, dataset: str, stage: str
) -> tuple[str, dict[str, Any], bytes]:
  """Returns name, index entry and bytes of a bundle of a run."""
  path = workdir / 'bundles' / f'{stage}_s0.safetensors'
  spec = bundle.load(path).spec
  classes = spec.provenance['classes'].split(',')
  short = dataset.removesuffix('_mnist')
  part = 'meta' if stage == 'barycenter' else f'{classes[0]}-{classes[-1]}'
  scores = json.loads((workdir / 'scores.json').read_text())[stage]
  environment = json.loads((workdir / 'environment.json').read_text())
  data = path.read_bytes()
  name = f'{short}-{part}'
  described = {
    'file': f'{name}.safetensors',
    'sha256': files.digest([data]),
    'dataset': dataset,
    'classes': ','.join(classes),
    'bytes': len(data),
    'image_shape': list(spec.image_shape),
    'scores': {key: scores[key][0] for key in SCORES},
    'command': _COMMAND.format(dataset),
    'versions': environment['versions'],
  }
  return name, described, data


def collect(workdirs: list[pathlib.Path], out: pathlib.Path) -> int:
  """Writes the bundles and their index; returns their bytes.

  Args:
    workdirs: work folders of finished runs.
    out: folder of the zoo.

  Raises:
    ValueError: the bundles are too large to ship.
  """
  found = []
  for workdir in workdirs:
    dataset = json.loads((workdir / 'config.json').read_text())['dataset']
    found += [entry(workdir, dataset, stage) for stage in STAGES]
  total = sum(len(data) for _, _, data in found)
  if total > MAX_BYTES:
    raise ValueError(f'{total} bytes exceed {MAX_BYTES}')
  for _, described, data in found:
    files.write_bytes(out / described['file'], data)
  files.write_json(
    out / 'index.json', {name: described for name, described, _ in found}
  )
  return total


def main() -> None:
  """Runs the command line."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--workdirs', required=True)
  parser.add_argument('--out', default=str(FOLDER))
  given = parser.parse_args()
  folders = [pathlib.Path(name) for name in given.workdirs.split(',')]
  print(json.dumps({'bytes': collect(folders, pathlib.Path(given.out))}))


if __name__ == '__main__':
  main()
