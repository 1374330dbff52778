"""Compares what two revisions compute: same keys, same machine, side by side.

  python -m tests.compare_revisions --before=REVISION [--only=PATTERN] [--eager]

Every method runs with every objective and option that changes its program, for
ten steps. The states after 1 and 10 steps, the metrics and the results are
compared leaf by leaf, and one line a case says whether they are equal to the
bit, or by how much they differ. Exit code 1: a difference of more than 1e-5 of
a leaf's largest value.

Compiled programs round differently where XLA fuses other operations together;
`--eager` computes one operation after another, so that the same operations give
the same bits.

A revision from before the library had rooms is read by the names of then.
"""

import argparse
import importlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
STEPS = (1, 10)
TOLERANCE = 1e-5
# Fields of a state, by the names that a comparison goes by.
FIELDS = {
  'generator': ('generator',),
  'ema': ('ema',),
  'critics': ('critics',),
  'generator_optimizer': ('generator_optimizer',),
  'critic_optimizer': ('critic_optimizer',),
  'w1': ('w1',),
  'start_w1': ('start_w1',),
  'objective': ('objective', 'multipliers'),
}
# Room of a module now -> its name before there were rooms.
BEFORE = {
  'gan.game': 'game',
  'gan.refined_source': 'refinement',
  'methods.adaptation': 'adaptation',
  'methods.barycenter': 'barycenters',
  'methods.baselines': 'baselines',
  'methods.minegan': 'mining',
  'methods.mixture': 'mixtures',
  'methods.pretraining': 'pretraining',
  'training.loop': 'driver',
  'transforms.ternary_config': 'ternarization',
}


def module(name):
  """A module of the revision that runs, by its name of now."""
  try:
    return importlib.import_module(f'coalesce_jax.{BEFORE[name]}')
  except ModuleNotFoundError:
    return importlib.import_module(f'coalesce_jax.{name}')


def cases():
  """Case -> a function of hooks that runs it and returns generators."""
  import jax
  import jax.numpy as jnp
  from sklearn import datasets

  import coalesce_jax as cj

  game, loop = module('gan.game'), module('training.loop')
  ternary = module('transforms.ternary_config')
  adaptation = module('methods.adaptation')
  baselines, minegan = module('methods.baselines'), module('methods.minegan')
  barycenter = module('methods.barycenter')
  pretraining = module('methods.pretraining')
  mixture, refined = module('methods.mixture'), module('gan.refined_source')

  width = (('width', 4),)
  spec = cj.Spec('dcgan', 8, (8, 8, 1), width, 'dcgan', width)
  digits = datasets.load_digits()
  images = (digits.images[..., None] * (255 / 16)).astype(np.uint8)
  parts = [images[digits.target % 2 == k] for k in (0, 1)]
  key = jax.random.key(7)
  keys = jax.random.split(key, 2)
  schedule = loop.Schedule(steps=10, chunk=1, save_seconds=0.0)
  fast = dict(batch_size=8, critic_steps=2, learning_rate=1e-3, ema=0.9)

  # Rates are those of the game, where a stage would let them fall by default.
  fields = pretraining.Config.__dataclass_fields__
  constant = {'decay': False} if 'decay' in fields else {}

  def generator(seed, batched=False):
    def leaves(key):
      return spec.build().init(key), spec.build_critic().init(key)

    made = jax.random.split(jax.random.key(seed), 2)
    params, critic = jax.vmap(leaves)(made) if batched else leaves(made[0])
    return cj.Generator(spec.build(), params, spec, critic)

  nodes = [generator(k) for k in range(3)]
  local = jnp.asarray(images[:20])

  def settings(**changes):
    return game.Config(**(fast | changes))

  def pretrain(**changes):
    def run(hooks):
      config = pretraining.Config(settings(**changes), schedule, **constant)
      return cj.pretrain(keys, parts, spec, config=config, hooks=hooks)[0]

    return run

  def meet(count=2, changes=(), radii=None, method='joint', objective='w1',
           batched=False, **options):  # fmt: skip
    def run(hooks):
      config = barycenter.Config(
        settings(**dict(changes)), schedule, warmup=2, **constant, **options
      )
      members = [generator(k, batched) for k in range(count)]
      weights = (0.3, 0.7) if count == 2 else (0.2, 0.3, 0.5)
      return [
        cj.barycenter(
          keys if batched else key, members, weights, method=method,
          objective=objective, radii=radii, config=config, hooks=hooks,
        )[0]
      ]  # fmt: skip

    return run

  def fit(
    changes=(), fn='adapt', start=None, batched=False, options=(), **more
  ):
    def run(hooks):
      config = adaptation.Config(
        settings(**dict(changes)),
        **({'schedule': schedule, 'warmup': 2} | more),
      )
      begin = generator(5, batched) if start is None else start()
      call = cj.adapt if fn == 'adapt' else cj.ternarize
      return [
        call(
          keys if batched else key, begin,
          jnp.stack([local, local[::-1]]) if batched else local,
          config=config, hooks=hooks, **dict(options),
        )[0]
      ]  # fmt: skip

    return run

  def plain(fn, *args, changes=(), hooked=True, **more):
    def run(hooks):
      config = adaptation.Config(settings(**dict(changes)), schedule, warmup=2)
      return [fn(key, *args, local, config=config, hooks=hooks, **more)[0]]

    return run

  found = {
    'pretrain': pretrain(),
    'pretrain one_sided, decay': pretrain(penalty='one_sided', decay_steps=20),
    'barycenter joint w1': meet(),
    'barycenter joint w1_squared': meet(objective='w1_squared'),
    'barycenter joint w1 of three': meet(3),
    'barycenter joint ball': meet(objective='ball', radii=(0.0, 0.5)),
    'barycenter recursive': meet(3, method='recursive', objective='w1_squared'),
    'barycenter recursive, two seeds': meet(
      3, method='recursive', objective='w1_squared', batched=True
    ),
    'barycenter mixture': meet(method='mixture', objective=None),
    'barycenter fixed, refined, new': meet(
      fixed_samples=40, refine=refined.Config(steps=2), start=None
    ),
    'barycenter cold critics, scaled': meet(
      warm_critics=False, scale_weights=True, start=1
    ),
    'barycenter two seeds': meet(objective='w1_squared', batched=True),
    'barycenter as published': meet(
      changes=dict(gp_norm='channel', reuse_batch=True, beta1=0.5),
      warm_critics=False,
      fixed_samples=40,
    ),
    'barycenter paired, bfloat16': meet(
      changes=dict(paired=True, precision='bfloat16')
    ),
    'adapt anchor': fit(dict(objective='w1_squared', augment='translation')),
    'adapt anchor, two seeds': fit(
      dict(objective='w1_squared'),
      batched=True,
      anchor=np.array([0.2, 0.6], np.float32),
      rate=np.array([1.0, 0.5], np.float32),
    ),
    'adapt no anchor': fit(dict(objective='w1'), anchor=0.0),
    'adapt mixed': fit(dict(objective='w1'), mixed=True),
    'adapt ball': fit(dict(objective='ball', ball_rate=0.1), radius=0.3),
    'adapt critics of three nodes': fit(
      dict(objective='w1'), options=dict(judges=tuple(nodes))
    ),
    'adapt critics of three nodes, cold, frozen': fit(
      dict(objective='w1', freeze=('conv_0/.*',)),
      warm_critics=False,
      options=dict(judges=tuple(nodes)),
    ),
    'adapt batches of the generator': fit(
      dict(objective='w1', generator_batches=2, epsilon=1e-3),
      anchor=0.0,
      generator_rate=3.0,
    ),
    'adapt early stopping': fit(
      dict(objective='w1'),
      anchor=0.0,
      schedule=loop.Schedule(
        steps=10, chunk=1, save_seconds=0.0, select_every=2, patience=9
      ),
    ),
    'adapt fixed anchor': fit(dict(objective='w1'), fixed_samples=40),
    'adapt a mixture': fit(
      dict(objective='w1'), anchor=0.0, start=lambda: mixture.mixture(nodes)
    ),
    'edge only': plain(baselines.edge_only, spec),
    'transfer, FreezeD': plain(
      baselines.transfer, nodes[0], freeze=baselines.FREEZE_D
    ),
    'ensemble': plain(baselines.ensemble, nodes),
    'MineGAN': plain(minegan.mine, nodes),
    'model average': lambda hooks: [baselines.model_average(nodes)],
    'mixture, refined': lambda hooks: [
      mixture.mixture(nodes, refine=refined.Config(steps=2))
    ],
  }
  for scheme in ('truncated_gaussian', 'twn', 'ttq'):
    found[f'ternarize {scheme}'] = fit(
      dict(objective='w1'),
      'ternarize',
      ternary=ternary.Ternary(scheme=scheme, leaves=('.*/kernel',)),
    )
  found['ternarize at once, a layer, critics too'] = fit(
    dict(objective='w1'), 'ternarize',
    ternary=ternary.Ternary(
      leaves=('.*/kernel',), thresholds_first=False, granularity='layer',
      critic=True, distill=0.0,
    ),
  )  # fmt: skip
  return found


def named(tree, prefix):
  """Leaves by name."""
  import jax

  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    f'{prefix}{jax.tree_util.keystr(path)}': np.asarray(leaf)
    for path, leaf in leaves
    if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
  }


def dump(path, only, eager):
  """Runs the cases of the revision on the path; writes all values."""
  import jax

  loop = module('training.loop')
  values = {}
  for name, run in cases().items():
    if not re.search(only, name):
      continue
    print(name, file=sys.stderr, flush=True)

    def hooks(part, name=name):
      def save(step, saved):
        state = saved['state']
        if step in STEPS:
          for label, fields in FIELDS.items():
            for field in fields:
              if hasattr(state, field):
                found = named(getattr(state, field), '')
                for leaf, value in found.items():
                  values[f'{name}|{part} {step} {label}|{leaf}'] = value

      def log(step, row):
        for metric, value in row.items():
          values[f'{name}|{part} {step} metrics|{metric}'] = np.asarray(value)

      return loop.Hooks(save=save, log=log)

    with jax.disable_jit(eager):
      results = run(hooks)
    for k, made in enumerate(results):
      for label, tree in (('params', made.params), ('critic', made.critic)):
        if tree is not None:
          for leaf, value in named(tree, '').items():
            values[f'{name}|result {k} {label}|{leaf}'] = value
  np.savez(path, **values)


def compare(before, after):
  """One line a case; the worst difference of all."""
  worst_of_all, cases_ = 0.0, {}
  for key in before:
    case, part, leaf = key.split('|')
    cases_.setdefault(case, {}).setdefault(part, {})[leaf] = before[key]
  for case, parts in cases_.items():
    same, worst, where, count = True, 0.0, '', 0
    for part, leaves in parts.items():
      mine = {
        k.split('|')[2]: after[k]
        for k in after
        if k.startswith(f'{case}|{part}|')
      }
      if 'optimizer' in part:
        # What is frozen has no state any more; counts and moments stay.
        pairs = _moments(leaves, mine)
      else:
        pairs = [(leaf, leaves[leaf], mine.get(leaf)) for leaf in leaves]
      for leaf, old, new in pairs:
        if new is None or new.shape != old.shape:
          if part.split()[-1] in ('critics', 'generator', 'ema', 'objective'):
            continue  # Frozen, or a state that an objective does not have.
          print(f'  {case}: {part} {leaf} is missing or of another shape')
          worst = np.inf
          continue
        count += 1
        if old.tobytes() != new.tobytes():
          same = False
          scale = max(float(np.max(np.abs(old))), 1e-30)
          gap = float(np.max(np.abs(np.float64(old) - np.float64(new)))) / scale
          if not gap <= worst:
            worst, where = gap, f'{part} {leaf}'
    text = 'equal to the bit' if same else f'{worst:.1e} at {where}'
    print(f'{case:45s} {count:4d} values: {text}', flush=True)
    worst_of_all = max(worst_of_all, worst)
  return worst_of_all


def _moments(old, new):
  """Moments of Adam by kind and leaf, wherever a state holds them."""

  def by_name(leaves):
    found = {}
    for name, value in leaves.items():
      hit = re.search(r'\.(mu|nu)(.*)$', name)
      if hit:
        found.setdefault((hit[1], hit[2]), []).append(value)
    return found

  mine = by_name(new)
  for name, values in by_name(old).items():
    for value, other in zip(values, mine.get(name, []), strict=False):
      yield name, value, other


def main():
  """Both revisions in processes of their own, then the comparison."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--before', help='revision, or a folder that holds one')
  parser.add_argument('--only', default='', help='pattern of cases')
  parser.add_argument('--eager', action='store_true', help='compile nothing')
  parser.add_argument('--dump', help=argparse.SUPPRESS)
  flags = parser.parse_args()
  if flags.dump:
    dump(flags.dump, flags.only, flags.eager)
    return 0
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(flags.before)
    if not folder.is_dir():
      folder = pathlib.Path(scratch) / 'before'
      folder.mkdir()
      archive = subprocess.run(
        ['git', 'archive', flags.before], cwd=ROOT, check=True,
        capture_output=True,
      )  # fmt: skip
      subprocess.run(
        ['tar', '-x', '-C', folder], input=archive.stdout, check=True
      )
    found = []
    for label, root in (('before', folder), ('after', ROOT)):
      path = pathlib.Path(scratch) / f'{label}.npz'
      kept = os.environ.get(f'COMPARE_{label.upper()}')
      if not (kept and pathlib.Path(kept).is_file()):
        subprocess.run(
          [
            sys.executable, __file__, '--dump', str(path), '--only', flags.only,
            *(['--eager'] if flags.eager else []),
          ],
          env=os.environ | {'PYTHONPATH': str(root)}, cwd=scratch, check=True,
        )  # fmt: skip
      with np.load(kept or path) as archive:
        found.append(dict(archive))
  worst = compare(*found)
  print(f'largest relative difference: {worst:.1e}')
  return int(not worst <= TOLERANCE)


if __name__ == '__main__':
  sys.exit(main())
