"""What each subcommand of `coalesce` takes and does."""

from collections.abc import Callable
import json
import pathlib
from typing import Any

from absl import flags
import jax
import jax.numpy as jnp
from ml_collections import config_flags
import numpy as np
from PIL import Image

from coalesce_jax import adaptation
from coalesce_jax import barycenters
from coalesce_jax import bundles
from coalesce_jax import cli
from coalesce_jax import driver
from coalesce_jax import files
from coalesce_jax import game as game_lib
from coalesce_jax import generators
from coalesce_jax import pretraining
from coalesce_jax import report
from coalesce_jax import scores
from coalesce_jax import stage
from coalesce_jax import workspace
from coalesce_jax.data import datasets
from coalesce_jax.data import images as images_lib
from coalesce_jax.data import nodes

Stop = Callable[[], bool]
Values = flags.FlagValues

# A critic learns little from less, and a generator nothing.
DEFAULT_RATE = 5e-4


def _string(values: Values, name: str, default: Any, text: str) -> None:
  flags.DEFINE_string(name, default, text, flag_values=values)


def _required(values: Values, *names: str) -> None:
  for name in names:
    flags.mark_flag_as_required(name, flag_values=values)


def _define_run(values: Values) -> None:
  config_flags.DEFINE_config_file(
    'config', None, 'Configuration file, with `:quick` for a smoke test.',
    flag_values=values,
  )  # fmt: skip
  _string(values, 'workdir', None, 'Folder of everything the run leaves.')
  _required(values, 'config', 'workdir')


def _run(values: Values, stop: Stop) -> dict[str, Any]:
  from experiments.coalesce import train

  return train.run(values.config, values.workdir, stop)


def _define_training(values: Values, steps: int) -> None:
  flags.DEFINE_integer('steps', steps, 'Generator steps.', flag_values=values)
  flags.DEFINE_integer('seed', 0, 'Seed.', flag_values=values)
  flags.DEFINE_integer('batch_size', 64, 'Batch size.', flag_values=values)
  flags.DEFINE_integer(
    'critic_steps', 3, 'Critic steps a generator step.', flag_values=values
  )
  flags.DEFINE_float(
    'learning_rate', DEFAULT_RATE, 'Of both Adams.', flag_values=values
  )
  flags.DEFINE_bool(
    'tensorboard', False, 'Write event files.', flag_values=values
  )
  _string(
    values, 'workdir', None,
    'Folder of records and checkpoints; default: OUT.run beside the result.',
  )  # fmt: skip


def _game(values: Values, **changes: Any) -> game_lib.Config:
  return game_lib.Config(
    **{
      'batch_size': values.batch_size,
      'critic_steps': values.critic_steps,
      'learning_rate': values.learning_rate,
      'beta1': 0.5,
      'ema': 0.995,
    }
    | changes
  )


def _schedule(values: Values, **changes: Any) -> driver.Schedule:
  chunk = driver.chunk_of(values.steps)
  return driver.Schedule(steps=values.steps, chunk=chunk, **changes)


def _work(
  values: Values, out: str, stop: Stop, extra: dict[str, str] | None = None
) -> workspace.Workspace:
  """The work folder; its settings are the flags and digests of the inputs."""
  settings = {
    name: values[name].value
    for name in values
    if name not in ('workdir', 'verbosity', 'traceback')
  }
  return workspace.open_workspace(
    values.workdir or f'{out}.run',
    config={**settings, **(extra or {})},
    stop=stop,
    tensorboard=values.tensorboard,
  )


def _define_pretrain(values: Values) -> None:
  _string(values, 'dataset', 'digits', 'Data set, folder or array file.')
  _string(values, 'data_dir', None, 'Folder that is searched first.')
  _string(values, 'split', 'overlapping', 'Classes by node; see the README.')
  _string(values, 'network', 'dcgan', 'Architecture.')
  flags.DEFINE_integer('width', 24, 'Its width.', flag_values=values)
  flags.DEFINE_integer('latent_size', 64, 'Z.', flag_values=values)
  _string(values, 'out', None, 'Folder of the bundles, one a node.')
  _define_training(values, 3000)
  _required(values, 'out')


def _pretrain(values: Values, stop: Stop) -> dict[str, Any]:
  data = datasets.load(values.dataset, 'train', values.data_dir)
  if data.labels is None:
    split, parts = None, [data.images]
  else:
    split = nodes.parse(values.split)
    parts = [
      data.images[nodes.indices(data.labels, classes)]
      for classes in split.nodes
    ]
  width = generators.freeze({'width': values.width})
  spec = generators.Spec(
    network=values.network,
    latent_size=values.latent_size,
    image_shape=data.images.shape[1:],
    options=width,
    critic=values.network,
    critic_options=width,
  )
  spec.build(), spec.build_critic()
  config = pretraining.Config(
    game=_game(values, decay_steps=values.steps), schedule=_schedule(values)
  )
  out = files.check_writable(values.out)
  work = _work(values, values.out, stop)
  made, _ = pretraining.pretrain(
    jax.random.key(values.seed), parts, spec, config=config,
    hooks=work.hooks(None),
  )  # fmt: skip
  paths = []
  for k, member in enumerate(made):
    classes = 'all' if split is None else ','.join(map(str, split.nodes[k]))
    path = out / f'node_{k}.safetensors'
    _save(path, member, 'pretrain', values, data.name, classes)
    paths.append(str(path))
  return {'bundles': paths, 'workdir': str(work.path)}


def _define_barycenter(values: Values) -> None:
  flags.DEFINE_list('nodes', None, 'Bundles.', flag_values=values)
  flags.DEFINE_list(
    'weights', None, 'One a bundle, sum 1; default equal.', flag_values=values
  )
  flags.DEFINE_enum(
    'method', 'joint', barycenters.METHODS, 'How.', flag_values=values
  )
  flags.DEFINE_enum(
    'objective', None, game_lib.OBJECTIVES, 'Which point.', flag_values=values
  )
  flags.DEFINE_list(
    'radii', None, "Of the 'ball' objective.", flag_values=values
  )
  _string(values, 'out', None, 'Bundle to write.')
  _define_training(values, 1000)
  _required(values, 'nodes', 'out')


def _barycenter(values: Values, stop: Stop) -> dict[str, Any]:
  members = _load_nodes(values.nodes)
  weights = _numbers('weights', values.weights)
  if weights is not None:
    stage.check_weights(weights, len(members))
  stage.same_architecture(members)
  work = _work(values, _checked_out(values.out), stop, _digests(values.nodes))
  meta, history = barycenters.barycenter(
    jax.random.key(values.seed),
    members,
    weights,
    method=values.method,
    objective=values.objective,
    radii=_numbers('radii', values.radii),
    config=barycenters.Config(
      game=_game(values), schedule=_schedule(values), warmup=_warmup(values)
    ),
    hooks=work.hooks(None),
  )
  _save(values.out, meta, 'barycenter', values, _dataset(members))
  return {
    'bundle': values.out,
    'bytes': bundles.size_bytes(meta),
    'workdir': str(work.path),
    **_last(work, 'barycenter', history),
  }


def _define_adapt(values: Values) -> None:
  flags.DEFINE_list(
    'nodes', None, 'Bundles; more than one are coalesced first.',
    flag_values=values,
  )  # fmt: skip
  _string(values, 'local', None, 'Folder or array file of local images.')
  flags.DEFINE_list(
    'weights', None, 'Of the nodes, sum 1; default equal.', flag_values=values
  )
  flags.DEFINE_float(
    'anchor', 0.5, 'Position between local samples, 0, and metamodel, 1.',
    flag_values=values,
  )  # fmt: skip
  _string(values, 'augment', 'translation', 'See the README; "" is none.')
  flags.DEFINE_bool(
    'freeze_d', False, 'Freeze the image-side critic layers.',
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_bool(
    'early_stopping', False, 'On held-out local images.', flag_values=values
  )
  flags.DEFINE_bool(
    'ternary', False, 'Ternarize the result as well.', flag_values=values
  )
  flags.DEFINE_integer(
    'barycenter_steps', 1000, 'Of the metamodel.', flag_values=values
  )
  _string(values, 'out', None, 'Bundle to write.')
  _define_training(values, 500)
  _required(values, 'nodes', 'local', 'out')


def _adapt(values: Values, stop: Stop) -> dict[str, Any]:
  from coalesce_jax import baselines

  members = _load_nodes(values.nodes)
  weights = _numbers('weights', values.weights)
  stage.check_weights(weights, len(members))
  spec = stage.same_architecture(members)
  local = _local(values.local, spec)
  freeze = baselines.FREEZE_D if values.freeze_d else ()
  select = driver.chunk_of(values.steps) if values.early_stopping else 0
  config = adaptation.Config(
    game=_game(
      values, objective='w1_squared', augment=values.augment, freeze=freeze
    ),
    schedule=_schedule(values, select_every=select),
    anchor=values.anchor,
    warmup=_warmup(values),
  )
  digests = _digests(values.nodes) | {'local_sha256': files.digest([local])}
  work = _work(values, _checked_out(values.out), stop, digests)
  key_meta, key_adapt, key_ternary = jax.random.split(
    jax.random.key(values.seed), 3
  )
  meta = members[0]
  if len(members) > 1:
    steps = values.barycenter_steps
    meta, _ = barycenters.barycenter(
      key_meta,
      members,
      weights,
      config=barycenters.Config(
        game=_game(values),
        schedule=driver.Schedule(steps=steps, chunk=driver.chunk_of(steps)),
        warmup=min(100, steps // 5),
      ),
      hooks=work.hooks(None),
    )
  edge, history = adaptation.adapt(
    key_adapt, meta, jnp.asarray(local), config=config, hooks=work.hooks(None)
  )
  result = {**_last(work, 'adapted', history), 'float_bytes': None}
  result['float_bytes'] = bundles.size_bytes(edge)
  if values.ternary:
    edge, _ = _ternarized(values, key_ternary, edge, local, work)
  _save(values.out, edge, 'adapt', values, _dataset(members))
  return {
    'bundle': values.out,
    'bytes': bundles.size_bytes(edge),
    'workdir': str(work.path),
    'local_samples': len(local),
    **result,
  }


def _define_ternarize(values: Values) -> None:
  _string(values, 'node', None, 'Bundle of a float generator.')
  _string(values, 'local', None, 'Folder or array file of local images.')
  _string(values, 'augment', 'translation', '"" is none.')
  _string(values, 'out', None, 'Bundle to write.')
  _define_training(values, 1500)
  _required(values, 'node', 'local', 'out')


def _ternarize(values: Values, stop: Stop) -> dict[str, Any]:
  generator = bundles.load(values.node)
  local = _local(values.local, generator.spec)
  digests = _digests([values.node]) | {'local_sha256': files.digest([local])}
  work = _work(values, _checked_out(values.out), stop, digests)
  small, _ = _ternarized(
    values, jax.random.key(values.seed), generator, local, work
  )
  _save(values.out, small, 'ternarize', values, _dataset([generator]))
  return {
    'bundle': values.out,
    'bytes': bundles.size_bytes(small),
    'float_bytes': bundles.size_bytes(generator),
    'workdir': str(work.path),
  }


def _ternarized(values, key, generator, local, work):
  names = ('(?!out/).*kernel',) if generator.spec.network != 'mlp' else (
    '.*/kernel',
  )
  config = adaptation.Config(
    game=_game(
      values, objective='w1', augment=values.augment, decay_steps=values.steps
    ),
    schedule=_schedule(values),
    anchor=0.75,
    warmup=_warmup(values),
    ternary=adaptation.Ternary(leaves=names),
  )
  return adaptation.ternarize(
    key, generator, jnp.asarray(local), config=config, hooks=work.hooks(None)
  )


def _define_sample(values: Values) -> None:
  _string(values, 'node', None, 'Bundle.')
  flags.DEFINE_integer('n', 64, 'Samples.', flag_values=values)
  flags.DEFINE_integer('seed', 0, 'Seed.', flag_values=values)
  _string(values, 'out', None, 'A .png grid, an .npz, or a folder of PNGs.')
  _required(values, 'node', 'out')


def _sample(values: Values, stop: Stop) -> dict[str, Any]:
  del stop
  if not 1 <= values.n <= 1_000_000:
    raise ValueError(f'--n={values.n} is not in [1, 1000000]')
  generator = bundles.load(values.node)
  if len(generator.spec.image_shape) != 3:
    raise ValueError(f'{values.node}: makes no images')
  x = np.asarray(generator.sample(jax.random.key(values.seed), values.n))
  levels = np.round((np.clip(x, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
  path = pathlib.Path(_checked_out(values.out))
  if path.suffix == '.npz':
    import io

    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=levels)
    files.write_bytes(path, buffer.getvalue())
  elif path.suffix == '.png':
    sheet = np.round(report.tile(levels) * 255.0).astype(np.uint8)
    files.write_bytes(path, _png(sheet))
  else:
    for i, image in enumerate(levels):
      files.write_bytes(path / f'{i:06d}.png', _png(image))
  return {'out': values.out, 'n': values.n}


def _define_evaluate(values: Values) -> None:
  _string(values, 'node', None, 'Bundle.')
  _string(values, 'images', None, 'Held-out real images, or a data set name.')
  _string(values, 'local', None, 'Images it was trained on, if known.')
  _string(values, 'features', None, 'Feature network; default by data set.')
  flags.DEFINE_integer(
    'samples', None, 'Generated samples.', flag_values=values
  )
  flags.DEFINE_integer('seed', 0, 'Seed.', flag_values=values)
  _required(values, 'node', 'images')


def _evaluate(values: Values, stop: Stop) -> dict[str, Any]:
  del stop
  generator = bundles.load(values.node)
  shape = tuple(generator.spec.image_shape)
  if values.images in datasets.NAMES:
    images = datasets.load(values.images, 'test').images
  else:
    images = images_lib.load(values.images, shape).images
  local = images_lib.load(values.local, shape).images if values.local else None
  found = scores.evaluate(
    generator, images, features=values.features, samples=values.samples,
    local=local, seed=values.seed,
  )  # fmt: skip
  return {'node': values.node, **found}


def _define_report(values: Values) -> None:
  _string(values, 'workdir', None, 'Folder of a finished `coalesce run`.')
  _required(values, 'workdir')


def _report(values: Values, stop: Stop) -> dict[str, Any]:
  import ml_collections

  from experiments.coalesce import train

  path = pathlib.Path(values.workdir)
  if not (path / 'summary.json').is_file():
    raise ValueError(f'{path}: no finished run (no summary.json)')
  config = json.loads((path / 'config.json').read_text())
  return train.run(ml_collections.ConfigDict(config), values.workdir, stop)


def _define_data(values: Values) -> None:
  _string(values, 'dataset', None, f'One of {datasets.NAMES}, or a path.')
  _string(values, 'data_dir', None, 'Folder that is searched first.')
  _required(values, 'dataset')


def _data(values: Values, stop: Stop) -> dict[str, Any]:
  del stop
  return datasets.summary(values.dataset, values.data_dir)


def _load_nodes(paths: list[str]) -> list[generators.Generator]:
  if not paths:
    raise ValueError('--nodes names no bundle')
  members = [bundles.load(path) for path in paths]
  for path, member in zip(paths, members, strict=True):
    if member.spec.image_shape != members[0].spec.image_shape:
      raise ValueError(
        f'{path}: makes {member.spec.image_shape}, {paths[0]} makes '
        f'{members[0].spec.image_shape}'
      )
  return members


def _local(path: str, spec: generators.Spec) -> np.ndarray:
  images = images_lib.load(path, tuple(spec.image_shape)).images
  if len(images) < nodes.MIN_LOCAL:
    raise ValueError(
      f'{path}: {len(images)} images, at least {nodes.MIN_LOCAL} are needed'
    )
  return images


def _numbers(name: str, values: list[str] | None) -> list[float] | None:
  if values is None:
    return None
  try:
    return [float(v) for v in values]
  except ValueError:
    raise ValueError(f'--{name}={",".join(values)}: not numbers') from None


def _checked_out(path: str) -> str:
  """The path of a result, once its folder is known to take files."""
  files.check_writable(pathlib.Path(path).parent)
  return path


def _digests(paths: list[str]) -> dict[str, str]:
  return {f'sha256 of input {k}': files.sha256(p) for k, p in enumerate(paths)}


def _warmup(values: Values) -> int:
  return min(100, values.steps // 5)


def _dataset(members: list[generators.Generator]) -> str:
  return members[0].spec.provenance.get('dataset', 'unknown')


def _save(path, generator, name, values, dataset, classes='') -> None:
  import dataclasses

  provenance = {'stage': name, 'dataset': dataset, 'seed': str(values.seed)}
  if classes:
    provenance['classes'] = classes
  spec = dataclasses.replace(generator.spec, provenance=provenance)
  bundles.save(path, generator._replace(spec=spec))


def _last(
  work: workspace.Workspace, part: str, history: stage.History
) -> dict[str, Any]:
  """The last logged distances and position, also of a resumed stage."""
  del history
  rows = work.recorder.rows(part)
  if not rows:
    return {}
  names = ('w1_smooth', 'position', 'residual')
  return {name: rows[-1][name] for name in names if name in rows[-1]}


def _png(array: np.ndarray) -> bytes:
  import io

  if array.shape[-1] == 1:
    array = array[..., 0]
  buffer = io.BytesIO()
  Image.fromarray(array).save(buffer, format='PNG')
  return buffer.getvalue()


TABLE: dict[str, cli.Command] = {
  'run': cli.Command('the whole pipeline', _define_run, _run),
  'pretrain': cli.Command('one generator a node', _define_pretrain, _pretrain),
  'barycenter': cli.Command(
    'the barycenter of bundles', _define_barycenter, _barycenter
  ),
  'adapt': cli.Command(
    'from bundles and local images to an edge model', _define_adapt, _adapt
  ),
  'ternarize': cli.Command(
    'a ternary copy of a generator', _define_ternarize, _ternarize
  ),
  'sample': cli.Command('images of a bundle', _define_sample, _sample),
  'evaluate': cli.Command(
    'a bundle against real images', _define_evaluate, _evaluate
  ),
  'report': cli.Command(
    'the report of a run, again', _define_report, _report
  ),
  'data': cli.Command('find and describe a data set', _define_data, _data),
}
