"""The floors of the package: a module imports only from below.

Rooms on one floor do not know each other, but for the order given: in
``a < b c`` the rooms b and c may import a, and not each other.
"""

import ast
import pathlib

import pytest

PACKAGE = 'coalesce_jax'
ROOT = pathlib.Path(__file__).resolve().parents[1]

# A new module gets its place here.
FLOORS = (
  # Ground.
  'types < trees; errors; files; shares < sharding',
  # Pure pieces.
  'networks < generators < sources < refinement; augmentation; data; ot; wgan',
  # Transforms of parameters, measures of samples.
  'transforms; metrics',
  # The game and its stages.
  'objectives optimizers < rules < game < chunks < driver < stage'
  ' < ternarization < fitting < pretraining barycenters adaptation mixtures'
  ' < baselines continual compress federated mining; scores',
  # Roof: effects.
  'figures manifests < bundles checkpoints interrupts records'
  ' < workspace < report < commands < cli',
)

# Third-party package -> the modules that may import it, as path prefixes.
ONLY_IN = {
  'flax': ('networks/',),
  'orbax': ('checkpoints.py',),
  'ml_collections': ('commands/',),
  'experiments': ('commands/',),
  # An extra: what imports these is imported where it is needed.
  'onnx': ('compress/onnx_',),
  'onnxruntime': ('compress/onnx_',),
}
# Reading any of these runs what the file says.
UNSAFE = {'pickle', 'cPickle', 'cloudpickle', 'dill', 'joblib', 'shelve'}


def places() -> dict[str, tuple[int, int, int]]:
  """Room -> (floor, chain on that floor, rank in that chain)."""
  return {
    room: (floor, i, rank)
    for floor, chains in enumerate(FLOORS)
    for i, chain in enumerate(chains.split(';'))
    for rank, rooms in enumerate(chain.split('<'))
    for room in rooms.split()
  }


def room_of(path: str) -> str:
  """'ot' of 'ot/exact.py', 'game' of 'game.py', '' of '__init__.py'."""
  room = path.split('/')[0].removesuffix('.py')
  return '' if room == '__init__' else room


def may_import(room: str, other: str) -> bool:
  """Whether a module of `room` may import one of `other`."""
  if not room or room == other:
    return True
  floor, chain, rank = places()[room]
  other_floor, other_chain, other_rank = places()[other]
  if floor != other_floor:
    return other_floor < floor
  return other_chain == chain and other_rank < rank


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
    elif not path.startswith(ONLY_IN.get(top, '')):
      faults.append(f'{name}: only imported in {", ".join(ONLY_IN[top])}')
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
  """All faults of a module, given its path below the package."""
  room = room_of(path)
  if room and room not in places():
    return [f'{path}: no place for {room!r} in FLOORS of this test']
  tree = ast.parse(source)
  found = import_faults(path, imports(tree)) + use_faults(tree)
  return [f'{path}: {fault}' for fault in found]


def modules() -> list[pathlib.Path]:
  """All modules of the package."""
  return sorted((ROOT / PACKAGE).rglob('*.py'))


def test_every_module_imports_only_from_the_floors_below():
  assert modules()
  found = []
  for module in modules():
    path = module.relative_to(ROOT / PACKAGE).as_posix()
    found += faults(path, module.read_text())
  assert not found, '\n'.join(found)


def test_every_room_with_modules_is_a_package():
  folders = {module.parent for module in modules()}
  missing = [str(f) for f in folders if not (f / '__init__.py').is_file()]
  assert not missing, f'without __init__.py, so not installed: {missing}'


def test_every_room_has_one_place():
  words = ' '.join(FLOORS).replace(';', ' ').replace('<', ' ').split()
  assert sorted(words) == sorted(places())


@pytest.mark.parametrize(
  ('path', 'source'),
  [
    ('cli.py', 'from coalesce_jax import commands'),
    ('__init__.py', 'from coalesce_jax import bundles'),
    ('baselines.py', 'from coalesce_jax import adaptation, game'),
    ('metrics/features.py', 'from coalesce_jax.networks import registry'),
    ('ot/funnels.py', 'from coalesce_jax.ot import exact'),
    ('networks/mlp.py', 'from flax import linen as nn'),
    ('checkpoints.py', 'import orbax.checkpoint as ocp'),
    ('data/idx.py', 'import numpy as np\nnp.load("a", allow_pickle=False)'),
  ],
)
def test_a_module_within_the_rules_has_no_fault(path, source):
  assert faults(path, source) == []


@pytest.mark.parametrize(
  ('path', 'source', 'message'),
  [
    (
      'trees.py',
      'from coalesce_jax import game',
      "not on a floor below 'trees",
    ),
    ('game.py', 'from coalesce_jax import driver', 'not on a floor below'),
    ('game.py', 'import coalesce_jax.driver as d', 'not on a floor below'),
    ('data/idx.py', 'from coalesce_jax.ot import exact', 'not on a floor'),
    (
      'pretraining.py',
      'from coalesce_jax import barycenters',
      'not on a floor',
    ),
    ('game.py', 'def f():\n  from coalesce_jax import cli', 'not on a floor'),
    ('game.py', 'from coalesce_jax import load', 'not a room'),
    ('game.py', 'import coalesce_jax', 'not a room'),
    ('game.py', 'from . import trees', 'absolute'),
    ('games.py', '', "no place for 'games'"),
    ('new/thing.py', '', "no place for 'new'"),
    ('game.py', 'from flax import linen', 'only imported in networks/'),
    ('game.py', 'import flax', 'only imported in networks/'),
    ('bundles.py', 'import orbax.checkpoint', 'only imported in checkpoints'),
    ('compress/export.py', 'import onnx', 'only imported in compress/onnx_'),
    ('data/idx.py', 'import pickle', 'unsafe'),
    ('data/idx.py', 'from pickle import loads', 'unsafe'),
    ('data/idx.py', 'np.load("a", allow_pickle=True)', 'unsafe'),
    ('data/idx.py', 'np.load("a", allow_pickle=flag)', 'unsafe'),
    ('game.py', 'import jax\njax.config.update("a", 1)', 'global settings'),
    ('game.py', 'from jax import config\nconfig.update("a", 1)', 'global'),
  ],
)
def test_a_module_against_the_rules_is_caught(path, source, message):
  (fault,) = faults(path, source)
  assert message in fault
