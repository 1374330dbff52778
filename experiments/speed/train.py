"""Measures the parts and gathers their ratios."""

from collections.abc import Callable
import dataclasses
import functools
import pathlib
import tempfile
from typing import Any

from absl import logging
import jax

from coalesce_jax.gan import game as game_lib
from coalesce_jax.trials import names as names_lib
from coalesce_jax.trials import timing
from coalesce_jax.trials import trials
from experiments.speed import ensembles
from experiments.speed import plots
from experiments.speed import probe
from experiments.speed import references
from experiments.speed import rounding
from experiments.speed import shapes
from experiments.speed import steps
from experiments.speed import translation


def prepare(config: Any) -> None:
  """Devices of JAX, while it has not started."""
  try:
    jax.config.update('jax_num_cpu_devices', config.devices)
  except RuntimeError:
    logging.info('JAX has started before: its devices are as they are')


def stages(config: Any) -> list[list[list[str]]]:
  """One task: a trial beside another would be measured too."""
  return [[list(plan('', config, lambda: False))]]


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials of a configuration, by name."""
  del workdir
  parts = tuple(config.parts) or tuple(_PLANS)
  unknown = sorted(set(parts) - set(tuple(_PLANS)))
  if unknown:
    raise ValueError(f'parts {unknown} are not among {list(_PLANS)}')
  todo: dict[str, trials.Trial] = {}
  for part in parts:
    todo |= _PLANS[part](config, stop)
  if not todo:
    raise ValueError(f'parts {list(parts)} have nothing to measure')
  return todo


def _steps(config: Any, stop: trials.Stop) -> dict[str, trials.Trial]:
  part = config.step
  networks = [
    *((shapes.Network(28, 1, w), part.rounds) for w in _sizes(part.widths)),
    *(
      (shapes.Network(32, 3, w), part.color_rounds)
      for w in _sizes(part.color_widths)
    ),
  ]
  return {
    f'step_{n.size}_w{n.width}': functools.partial(
      steps.measure, n, _game(config), peers=steps.available(config.peers),
      others=steps.precisions()[1:] if n.width in part.precision_widths else (),
      spread=n.width in part.spread_widths,
      turns=timing.Turns(rounds, part.seconds, part.steps), seed=config.seed,
      stop=stop,
    )
    for n, rounds in networks
  }  # fmt: skip


def _members(config: Any, stop: trials.Stop) -> dict[str, trials.Trial]:
  part = config.members
  return {
    f'members_w{width}_{precision}': functools.partial(
      ensembles.members, shapes.Network(28, 1, width),
      dataclasses.replace(_game(config), precision=precision),
      _sizes(part.counts),
      peers=tuple(p for p in steps.available(part.peers)
                  if steps.PRECISION_OF.get(p, 'float32') == precision),
      stacked=bool(part.stacked and steps.available(('eager',))),
      turns=_turns(config, part), seed=config.seed, stop=stop,
    )
    for width in _sizes(part.widths)
    for precision in part.precisions
  }  # fmt: skip


def _nodes(config: Any, stop: trials.Stop) -> dict[str, trials.Trial]:
  return {
    f'nodes_w{width}': functools.partial(
      ensembles.nodes, shapes.Network(28, 1, width), _game(config),
      _sizes(config.nodes.counts), seeds=config.nodes.seeds,
      turns=_turns(config, config.nodes), seed=config.seed, stop=stop,
    )
    for width in _sizes(config.nodes.widths)
  }  # fmt: skip


def _growth(config: Any, stop: trials.Stop) -> dict[str, trials.Trial]:
  part = config.growth
  networks = [shapes.Network(28, 1, w) for w in _sizes(part.widths)]
  networks += [shapes.Network(n, 1, part.width) for n in _sizes(part.sizes)]
  return {
    'growth': functools.partial(
      ensembles.growth, networks, _game(config),
      turns=_turns(config, part), seed=config.seed, stop=stop,
    )
  } if networks else {}  # fmt: skip


def _rounding(config: Any, stop: trials.Stop) -> dict[str, trials.Trial]:
  part = config.rounding
  return {
    f'rounding_{part.dataset}': functools.partial(
      rounding.measure, part.dataset, part.width, _game(config),
      seeds=part.seeds, steps=part.steps, samples=part.samples,
      seed=config.seed, stop=stop,
    )
  } if part.steps else {}  # fmt: skip


def _startup(config: Any, stop: trials.Stop) -> dict[str, trials.Trial]:
  del stop
  return {
    f'startup_w{width}': functools.partial(
      startup, _probe(config, width, steps=config.startup.steps)
    )
    for width in _sizes(config.startup.widths)
  }


def _memory(config: Any, stop: trials.Stop) -> dict[str, trials.Trial]:
  del stop
  some = [('members', n) for n in _sizes(config.memory.members)]
  some += [('nodes', n) for n in _sizes(config.memory.nodes)]
  return {
    f'memory_{axis}_{count}': functools.partial(
      memory,
      axis,
      _probe(
        config, config.memory.width, steps=config.memory.steps, **{axis: count}
      ),
    )
    for axis, count in some
  }


def _references(config: Any, stop: trials.Stop) -> dict[str, trials.Trial]:
  part = config.references
  return {
    'references': functools.partial(
      references.measure, _sizes(part.sizes), features=part.features,
      rounds=part.rounds, seconds=part.seconds, seed=config.seed, stop=stop,
    )
  } if part.sizes else {}  # fmt: skip


def _translation(config: Any, stop: trials.Stop) -> dict[str, trials.Trial]:
  part = config.translation
  peers = steps.available(part.peers, translation.OPTIONS_OF_PEERS)
  return {
    f'translation_{name}': functools.partial(
      translation.measure, case.method,
      translation.configured(case, part.size, part.blocks), part.size,
      peers=peers, members=case.members, turns=_turns(config, part),
      seed=config.seed, stop=stop,
    )
    for name, case in part.cases.items()
  }  # fmt: skip


def startup(settings: dict[str, Any]) -> dict[str, Any]:
  """The probe with an empty cache, and with a filled one."""
  with tempfile.TemporaryDirectory() as folder:
    cache = pathlib.Path(folder)
    rows = {
      'cold': probe.start(settings, cache),
      'warm': probe.start(settings, cache),
    }
  return {'width': settings['width'], 'cache': rows}


def memory(axis: str, settings: dict[str, Any]) -> dict[str, Any]:
  """Largest resident size with so many members or nodes."""
  found = probe.start(settings)
  return {
    'axis': axis,
    'count': settings[axis],
    'width': settings['width'],
    'resident_mib': found['resident_mib'],
    'imported_mib': found['imported_mib'],
  }


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Rows of every part, and `ratios`, the medians by name."""
  del config
  summary = summarise(results)
  line = {'ratios': summary['ratios']}
  return trials.Report(summary, line, figures=plots.figures(summary))


def summarise(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
  """Rows by part, and the ratios by name."""
  parts: dict[str, list[dict[str, Any]]] = {part: [] for part in _PLANS}
  for name, result in results.items():
    part = 'steps' if name.startswith('step_') else name.split('_')[0]
    parts[part] += result.get('rows', [result])
  ratios: dict[str, Any] = {}
  for row in parts['steps']:
    name = f'{row["size"]}px_w{row["width"]}'
    ratios[name] = {
      **row['ratios'],
      'share_of_rate': row['share_of_rate'],
      'scan_over_unrolled': row['scan_over_unrolled'],
      **{name: row[name] for name in steps.precisions()[1:] if name in row},
      **({'spread': row['spread']} if 'spread' in row else {}),
      'difference': _differences(row),
    }
  for row in parts['members']:
    name = f'S{row["members"]}_w{row["width"]}'
    if row['precision'] != 'float32':
      name += f'_{row["precision"]}'
    ratios[name] = {
      'loop': row['loop_ratio'],
      'share_of_rate': row['share_of_rate'],
      **row['ratios'],
      **({'spread': row['spread']['ratios']} if 'spread' in row else {}),
    }
  for row in parts['nodes']:
    name = f'K{row["nodes"]}_S{max(row["seeds"], 1)}_w{row["width"]}'
    ratios[name] = {'cost': row['cost']}
  for row in parts['rounding']:
    ratios[f'frechet_{row["precision"]}_{row["dataset"]}'] = {
      'mean': row['mean'], 'deviation': row['deviation'],
    }  # fmt: skip
  for row in parts['startup']:
    ratios[f'startup_w{row["width"]}'] = {
      kind: found['first_chunk_seconds'] for kind, found in row['cache'].items()
    }
  for row in parts['references']:
    ratios[f'{row["measure"]}_{row["n"]}'] = row['ratio']
  for row in parts['translation']:
    ratios[translation.name(row)] = {
      **row['ratios'],
      'share_of_rate': row['share_of_rate'],
      **({'members': row['members']} if 'members' in row else {}),
      'difference': _differences(row),
    }
  return {'ratios': ratios, **parts}


def _differences(row: dict[str, Any]) -> dict[str, float]:
  agreement = row.get('agreement', {})
  return {peer: found['difference'] for peer, found in agreement.items()}


def _game(config: Any) -> game_lib.Config:
  return game_lib.Config(**config.game.to_dict())


def _turns(config: Any, part: Any) -> timing.Turns:
  return timing.Turns(part.rounds, part.seconds, config.step.steps)


def _probe(config: Any, width: int, **changes: Any) -> dict[str, Any]:
  return {
    'width': width, 'size': 28, 'channels': 1, 'members': 0, 'nodes': 0,
    'seed': config.seed, **config.game.to_dict(), **changes,
  }  # fmt: skip


def _sizes(values: Any) -> tuple[int, ...]:
  return tuple(names_lib.sizes('sizes', values)) if values else ()


_PLANS: dict[str, Callable[[Any, trials.Stop], dict[str, trials.Trial]]] = {
  'steps': _steps,
  'members': _members,
  'nodes': _nodes,
  'growth': _growth,
  'rounding': _rounding,
  'startup': _startup,
  'memory': _memory,
  'references': _references,
  'translation': _translation,
}
