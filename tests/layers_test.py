"""The floors of the package: a file imports only from floors below its own.

Rooms on one floor do not know each other. Within a room files may import each
other, without cycles.
"""

import ast
import graphlib
import pathlib

import pytest

PACKAGE = 'coalesce_jax'
ROOT = pathlib.Path(__file__).resolve().parents[1]

# From the ground to the roof. A new room gets its place here.
FLOORS = (
  # Ground.
  'core',
  'parallel',
  'ops',
  # Pure pieces.
  'data networks ot',
  'training',
  'transforms',
  'models',
  # Learning.
  'gan metrics',
  'methods export',
  'translation',
  'compress continual',
  'federated',
  # Roof: effects.
  'runs',
  'pipeline',
  'trials',
  'cli',
)
MAX_LINES = 300

# Third-party package -> the files that may import it, as path prefixes.
ONLY_IN = {
  'flax': ('networks/',),
  'orbax': ('runs/checkpoints.py',),
  'ml_collections': ('cli/', 'pipeline/'),
  # Nothing of the library is built on the experiments or the launchers.
  'experiments': (),
  'launch': (),
  # An extra: what imports these is imported where it is needed.
  'onnx': ('export/onnx_',),
  'onnxruntime': ('export/onnx_',),
  'tensorboardX': ('runs/trackers/',),
  'wandb': ('runs/trackers/',),
  'mlflow': ('runs/trackers/',),
  'flwr': ('federated/flower.py',),
}
# Reading any of these runs what the file says.
UNSAFE = {'pickle', 'cPickle', 'cloudpickle', 'dill', 'joblib', 'shelve'}


def places() -> dict[str, int]:
  """Room -> its floor, counted from the ground."""
  return {
    room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()
  }


def room_of(path: str) -> str:
  """'ot' of 'ot/exact.py', '' of the package's own '__init__.py'."""
  return path.split('/')[0] if '/' in path else ''


def may_import(room: str, other: str) -> bool:
  """Whether a file of `room` may import one of `other`."""
  return not room or room == other or places()[other] < places()[room]


def dotted(node: ast.expr) -> str:
  """'jax.config.update' of the expression that says so, else ''."""
  if isinstance(node, ast.Name):
    return node.id
  if isinstance(node, ast.Attribute):
    return f'{dotted(node.value)}.{node.attr}'
  return ''


def imports(tree: ast.AST) -> list[str]:
  """Dotted names of all imports; a name from a module counts as `module.name`.

  Relative imports begin with a dot.
  """
  names = []
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names += [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      base = '.' * node.level + (node.module or '')
      names += [f'{base}.{alias.name}' for alias in node.names]
  return names


def import_faults(path: str, names: list[str]) -> list[str]:
  """What is wrong with the imports of the module at `path`."""
  faults = []
  for name in names:
    top, *rest = name.split('.')
    if not top:
      faults.append(f'{name}: imports are absolute')
    elif top in UNSAFE:
      faults.append(f'{name}: unsafe to read')
    elif top == PACKAGE and (not rest or rest[0] not in places()):
      faults.append(f'{name}: not a room; FLOORS of this test names the rooms')
    elif top == PACKAGE and not may_import(room_of(path), rest[0]):
      faults.append(f'{name}: not on a floor below {room_of(path)!r}')
    elif top in ONLY_IN and not path.startswith(ONLY_IN[top]):
      where = ', '.join(ONLY_IN[top]) or 'no room'
      faults.append(f'{name}: only imported in {where}')
  return faults


def use_faults(tree: ast.AST) -> list[str]:
  """What is wrong with the calls of a module."""
  faults = []
  for node in ast.walk(tree):
    if isinstance(node, ast.Call):
      for keyword in node.keywords:
        value = getattr(keyword.value, 'value', None)
        if keyword.arg == 'allow_pickle' and value is not False:
          faults.append('allow_pickle: unsafe to read')
    if isinstance(node, ast.Attribute | ast.Name):
      if dotted(node) in ('jax.config.update', 'config.update'):
        faults.append(f"{dotted(node)}: global settings are the caller's")
  return faults


def faults(path: str, source: str) -> list[str]:
  """All faults of a file, given its path below the package."""
  room = room_of(path)
  if path not in ('__init__.py', '__main__.py') and room not in places():
    return [f'{path}: no place for {room!r} in FLOORS of this test']
  tree = ast.parse(source)
  found = import_faults(path, imports(tree)) + use_faults(tree)
  lines = source.count('\n')
  if lines > MAX_LINES:
    found.append(f'{lines} lines, at most {MAX_LINES}: split it by concept')
  return [f'{path}: {fault}' for fault in found]


def modules() -> list[pathlib.Path]:
  """All files of the package."""
  return sorted((ROOT / PACKAGE).rglob('*.py'))


def below(module: pathlib.Path) -> str:
  """Its path below the package."""
  return module.relative_to(ROOT / PACKAGE).as_posix()


def graph(sources: dict[str, str]) -> dict[str, set[str]]:
  """File -> the files of the package that it imports."""
  names = {
    f'{PACKAGE}.{path.removesuffix(".py").replace("/", ".")}': path
    for path in sources
  }
  return {
    path: {
      names[name]
      for wanted in imports(ast.parse(source))
      for name in (wanted, wanted.rpartition('.')[0])
      if name in names
    }
    for path, source in sources.items()
  }


def test_every_file_imports_only_from_the_floors_below():
  assert modules()
  found = []
  for module in modules():
    found += faults(below(module), module.read_text())
  assert not found, '\n'.join(found)


def test_no_file_imports_itself_by_way_of_others():
  every = graph({below(m): m.read_text() for m in modules()})
  assert sum(map(len, every.values())) > len(every)
  assert list(graphlib.TopologicalSorter(every).static_order())


def test_a_cycle_is_found():
  sources = {
    'ot/a.py': 'from coalesce_jax.ot import b',
    'ot/b.py': 'def f():\n  from coalesce_jax.ot.a import f',
  }
  with pytest.raises(graphlib.CycleError):
    graphlib.TopologicalSorter(graph(sources)).prepare()


def test_every_room_is_a_package():
  rooms = {module.parent for module in modules()}
  missing = [str(f) for f in rooms if not (f / '__init__.py').is_file()]
  assert not missing, f'without __init__.py, so not installed: {missing}'


def test_the_floors_name_each_room_once_and_no_other():
  words = ' '.join(FLOORS).split()
  folders = {room_of(below(m)) for m in modules()} - {''}
  assert sorted(words) == sorted(folders)


def test_nothing_puts_the_current_folder_on_the_path():
  for module in modules():
    # What `python -m` does to the path is undone there.
    if below(module) != '__main__.py':
      assert 'sys.path' not in module.read_text(), below(module)


@pytest.mark.parametrize(
  ('path', 'source'),
  [
    ('cli/main.py', 'from coalesce_jax.cli import commands'),
    ('__init__.py', 'from coalesce_jax.models import bundle'),
    ('methods/baselines.py', 'from coalesce_jax.gan import game, sources'),
    ('metrics/features.py', 'from coalesce_jax.networks import registry'),
    ('ot/funnels.py', 'from coalesce_jax.ot import exact'),
    ('networks/mlp.py', 'from flax import linen as nn'),
    ('runs/checkpoints.py', 'import orbax.checkpoint as ocp'),
    ('data/idx.py', 'import numpy as np\nnp.load("a", allow_pickle=False)'),
  ],
)
def test_a_file_within_the_rules_has_no_fault(path, source):
  assert faults(path, source) == []


@pytest.mark.parametrize(
  ('path', 'source', 'message'),
  [
    ('core/trees.py', 'from coalesce_jax.gan import game', 'not on a floor'),
    ('training/loop.py', 'from coalesce_jax.gan import game', 'not on a floor'),
    ('training/a.py', 'import coalesce_jax.gan.game as g', 'not on a floor'),
    ('data/idx.py', 'from coalesce_jax.ot import exact', 'not on a floor'),
    ('methods/a.py', 'from coalesce_jax.export import export', 'not on a'),
    ('gan/a.py', 'def f():\n  from coalesce_jax.cli import main', 'not on a'),
    ('gan/game.py', 'from coalesce_jax import load', 'not a room'),
    ('gan/game.py', 'import coalesce_jax', 'not a room'),
    ('gan/game.py', 'from . import sources', 'absolute'),
    ('games.py', '', "no place for ''"),
    ('new/thing.py', '', "no place for 'new'"),
    ('gan/game.py', 'from flax import linen', 'only imported in networks/'),
    ('gan/game.py', 'import flax', 'only imported in networks/'),
    ('runs/a.py', 'import orbax.checkpoint', 'only imported in runs/checkp'),
    ('cli/run.py', 'from experiments.a import b', 'only imported in no room'),
    ('export/export.py', 'import onnx', 'only imported in export/onnx_'),
    ('data/idx.py', 'import pickle', 'unsafe'),
    ('data/idx.py', 'from pickle import loads', 'unsafe'),
    ('data/idx.py', 'np.load("a", allow_pickle=True)', 'unsafe'),
    ('data/idx.py', 'np.load("a", allow_pickle=flag)', 'unsafe'),
    ('gan/game.py', 'import jax\njax.config.update("a", 1)', 'global settings'),
    ('gan/a.py', 'from jax import config\nconfig.update("a", 1)', 'global'),
    ('data/idx.py', '\n' * 301, 'at most 300'),
  ],
)
def test_a_file_against_the_rules_is_caught(path, source, message):
  (fault,) = faults(path, source)
  assert message in fault
