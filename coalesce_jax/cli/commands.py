"""Lists the subcommands of `coalesce` by name, which has one or two words."""

from collections.abc import Sequence

from coalesce_jax.cli.command import Command
from coalesce_jax.cli.command import later
from coalesce_jax.cli.definitions import adapting
from coalesce_jax.cli.definitions import federated
from coalesce_jax.cli.definitions import inspection
from coalesce_jax.cli.definitions import streams
from coalesce_jax.cli.definitions import training
from coalesce_jax.cli.definitions import translation

TABLE: dict[str, Command] = {
  'run': Command(
    'runs the whole pipeline',
    inspection.run,
    later('pipeline', 'run'),
    required=('config', 'workdir'),
    examples=('run --config=mine.py --workdir=runs/mine',),
  ),
  'pretrain': Command(
    'trains one generator for each node',
    training.pretrain,
    later('training', 'pretrain'),
    required=('out',),
    examples=("pretrain --dataset=photos --split='cat|dog->cat' --out=nodes",),
  ),
  'barycenter': Command(
    'learns the barycenter of bundles',
    training.barycenter,
    later('training', 'barycenter'),
    required=('nodes', 'out'),
    examples=(
      'barycenter --nodes=a.safetensors,b.safetensors --out=meta.safetensors',
      'barycenter --nodes=a.safetensors,b.safetensors --method=particles '
      '--out=samples.png',
    ),
  ),
  'mixture': Command(
    'combines all bundles in one generator',
    training.mixture,
    later('mixing', 'mixture'),
    required=('nodes', 'out'),
    examples=(
      'mixture --nodes=a.safetensors,b.safetensors --out=all.safetensors',
    ),
  ),
  'adapt': Command(
    'adapts bundles to local images',
    adapting.adapt,
    later('adapting', 'adapt'),
    required=('nodes', 'local', 'out'),
    examples=(
      'adapt --nodes=a.safetensors,b.safetensors --local=photos '
      '--out=edge.safetensors',
    ),
  ),
  'ternarize': Command(
    'trains a ternary copy of a generator',
    adapting.ternarize,
    later('adapting', 'ternarize'),
    required=('node', 'local', 'out'),
    examples=(
      'ternarize --node=edge.safetensors --local=photos '
      '--out=small.safetensors',
    ),
  ),
  'compress': Command(
    'makes a generator smaller and faster',
    adapting.compress,
    later('compressing', 'compress'),
    required=('node', 'local', 'out'),
    examples=(
      'compress --node=edge.safetensors --local=photos --macs=0.25 '
      '--out=small.safetensors',
    ),
  ),
  'export': Command(
    'writes a generator as a program for devices',
    inspection.export,
    later('exporting', 'export'),
    required=('node', 'out'),
    examples=('export --node=small.safetensors --out=small.onnx',),
  ),
  'share': Command(
    'writes the files that a model hub expects',
    inspection.share,
    later('sharing', 'share'),
    required=('node', 'out'),
    examples=('share --node=small.safetensors --out=small_for_a_hub',),
  ),
  'sample': Command(
    'draws images of a bundle',
    inspection.sample,
    later('inspection', 'sample'),
    required=('node', 'out'),
    examples=('sample --node=edge.safetensors --n=64 --out=grid.png',),
  ),
  'evaluate': Command(
    'evaluates a bundle against real images',
    inspection.evaluate,
    later('inspection', 'evaluate'),
    required=('node', 'images'),
    examples=('evaluate --node=edge.safetensors --images=held_out',),
  ),
  'translate train': Command(
    'learns to translate images',
    translation.train,
    later('translation', 'train'),
    required=('data', 'out'),
    examples=(
      'translate train --data=pairs --steps=1000 --out=model.safetensors',
      'translate train --method=cyclegan --data=fluent_outline_flat '
      '--out=model.safetensors',
    ),
  ),
  'translate apply': Command(
    'translates a picture or a folder',
    translation.apply,
    later('applying', 'apply'),
    required=('model', 'input', 'out'),
    examples=(
      'translate apply --model=model.safetensors --input=photos --out=made',
    ),
  ),
  'translate evaluate': Command(
    'scores a translator on held-out images',
    translation.evaluate,
    later('translation', 'evaluate'),
    required=('model', 'data'),
    examples=('translate evaluate --model=model.safetensors --data=pairs',),
  ),
  'stream run': Command(
    'learns tasks one after another',
    streams.run,
    later('streams', 'run'),
    required=('config', 'workdir'),
    examples=('stream run --config=mine.py --workdir=runs/mine',),
  ),
  'stream add': Command(
    'learns one more task of a family',
    streams.add,
    later('streams', 'add'),
    required=('family', 'data'),
    examples=(
      'stream add --family=f.safetensors --data=pairs --name=maps',
      'stream add --family=f.safetensors --data=mnist:5-9 '
      '--out=larger.safetensors',
    ),
  ),
  'stream apply': Command(
    'translates pictures by a task of a family',
    streams.apply,
    later('streams', 'apply'),
    required=('family', 'task', 'out'),
    examples=(
      'stream apply --family=f.safetensors --task=maps --input=photos '
      '--out=made',
    ),
  ),
  'stream export': Command(
    'writes a task of a family as a bundle',
    streams.export,
    later('streams', 'export'),
    required=('family', 'task', 'out'),
    examples=(
      'stream export --family=f.safetensors --task=maps --out=maps.safetensors',
    ),
  ),
  'federated run': Command(
    'meta-learns a gated classifier over nodes',
    federated.run,
    later('federated', 'run'),
    required=('config', 'workdir'),
    examples=('federated run --config=mine.py --workdir=runs/mine',),
  ),
  'federated adapt': Command(
    'adapts a gated classifier in one step',
    federated.adapt,
    later('federated', 'adapt'),
    required=('meta', 'local', 'out'),
    examples=(
      'federated adapt --meta=meta.safetensors --local=photos '
      '--out=task.safetensors',
    ),
  ),
  'inspect': Command(
    'describes a bundle or a family',
    streams.inspect,
    later('streams', 'inspect'),
    required=('node',),
    examples=('inspect f.safetensors',),
    positional='node',
  ),
  'report': Command(
    'writes the report of a run again',
    inspection.report,
    later('pipeline', 'report'),
    required=('workdir',),
    examples=('report --workdir=runs/mine',),
  ),
  'zoo': Command(
    'lists the bundles that the package ships',
    inspection.zoo,
    later('shipping', 'zoo'),
    jax=False,
  ),
  'data': Command(
    'finds and describes a data set',
    inspection.data,
    later('inspection', 'data'),
    required=('dataset',),
    examples=(
      'data --dataset=photos',
      'data --dataset=openmoji --preview=pairs.png',
    ),
  ),
}


def find(arguments: Sequence[str]) -> tuple[str, list[str]]:
  """Splits arguments into the name of a command and its flags.

  Args:
    arguments: what follows the program's name.

  Returns:
    A name, which need not be in `TABLE`, and the arguments after it. It has two
    words if its first is that of commands of two words, and another word
    follows.
  """
  if not arguments:
    return '', []
  first, rest = arguments[0], list(arguments[1:])
  group = any(name.startswith(f'{first} ') for name in TABLE)
  if group and rest and not rest[0].startswith('-'):
    return f'{first} {rest[0]}', rest[1:]
  return first, rest
