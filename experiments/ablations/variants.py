"""What is varied, one thing at a time: every row is a line here."""

from collections.abc import Mapping
import types
from typing import Any, NamedTuple

from coalesce_jax.methods import adaptation
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import recipes
from coalesce_jax.pipeline import stages
from coalesce_jax.transforms import ternary

SAME = types.MappingProxyType[str, Any]({})

TWO = '0-4|5-9->0-9'
FIVE = '0-1|2-3|4-5|6-7|8-9->0-9'
TEN = '0|1|2|3|4|5|6|7|8|9->0-9'
# Five nodes of one distribution: they differ by their training.
AGREEING = '0-9|0-9|0-9|0-9|0-9->0-9'

_REFINED = {
  'barycenter.method': 'mixture',
  'barycenter.fixed_samples': 8000,
  'barycenter.refine_steps': 10,
}


def straight(config: Any) -> adaptation.Config:
  """Settings of ternarization in the steps of it and of adaptation together."""
  steps = config.ternary.steps + config.adapt.steps
  return config_lib.ternary(
    config_lib.override(config, {'ternary.steps': steps})
  )


def _stage(name: str, number: int) -> stages.Stage:
  """A stage of the pipeline, with random numbers of the ablations."""
  return stages.TABLE[name]._replace(number=number)


# What is trained after the nodes, by kind of a variant.
STAGES: dict[str, tuple[stages.Stage, ...]] = {
  'ours': (_stage('barycenter', 1), _stage('adapted', 2)),
  'ternary': (
    _stage('barycenter', 1), _stage('adapted', 2), _stage('ternary', 3),
  ),
  'straight': (
    _stage('barycenter', 1),
    stages.Stage(
      'straight', lambda run: recipes.ternarize(run, 'barycenter'), 2,
      ('barycenter',), straight,
    ),
  ),
  'ensemble': (_stage('ensemble', 2),),
  'model_average': (stages.TABLE['model_average'],),
}  # fmt: skip


class Variant(NamedTuple):
  """One row.

  Attributes:
    group: of rows that are compared.
    label: in tables.
    split: classes of nodes and target.
    corrupted: what the last node was trained on instead: '', 'noise', 'other'
      (another data set).
    kind: names the stages of `STAGES`. 'ours' is metamodel and adaptation;
      'ternary' ternarizes then; 'straight' ternarizes the metamodel, in as many
      steps as both take.
    changes: of the pipeline's settings, by field.
  """

  group: str
  label: str
  split: str = TWO
  corrupted: str = ''
  kind: str = 'ours'
  changes: Mapping[str, Any] = SAME


def _methods(split: str) -> dict[str, Variant]:
  count = len(split.split('|'))
  rows: list[tuple[str, Mapping[str, Any]]] = [
    ('mixture', {'barycenter.method': 'mixture'}),
    ('refined mixture', _REFINED),
    ('joint, w1', {'barycenter.objective': 'w1'}),
    ('joint, w1_squared', {'barycenter.objective': 'w1_squared'}),
    ('recursive, w1_squared', {'barycenter.method': 'recursive'}),
  ]
  return {
    f'k{count}_{_name(label)}': Variant(
      f'{count} nodes', label, split, changes=changes
    )
    for label, changes in rows
  }


def _corrupted() -> dict[str, Variant]:
  made = {}
  for bad in ('', 'noise', 'other'):
    group = f'five nodes that agree, {f"one of {bad}" if bad else "all clean"}'
    rows: list[tuple[str, str, Mapping[str, Any]]] = [
      ('joint, w1', 'ours', {'barycenter.objective': 'w1'}),
      ('mixture', 'ours', {'barycenter.method': 'mixture'}),
      ('ensemble', 'ensemble', SAME),
      ('mean of weights', 'model_average', SAME),
    ]
    for label, kind, changes in rows:
      made[f'agreeing_{bad or "clean"}_{_name(label)}'] = Variant(
        group, label, AGREEING, bad, kind, changes
      )
  return made


def _settings() -> dict[str, Variant]:
  rows: list[tuple[str, str, Mapping[str, Any]]] = [
    ('critics', 'as they came', SAME),
    ('critics', 'fresh', {'barycenter.warm_critics': False}),
    ('penalty', 'two-sided', SAME),
    ('penalty', 'one-sided', {'game.penalty': 'one_sided'}),
    ('average of the generator', '.995', SAME),
    ('average of the generator', 'none', {'game.ema': 0.0}),
    ('average of the generator', '.999', {'game.ema': 0.999}),
    ('anchor', '0', {'adapt.anchor': 0.0}),
    ('anchor', '.25', {'adapt.anchor': 0.25}),
    ('anchor', '.5', {'adapt.anchor': 0.5}),
    ('anchor', '.75', {'adapt.anchor': 0.75}),
  ]
  return {
    f'{_name(group)}_{_name(label)}': Variant(
      group, label, changes={**_REFINED, **changes}
    )
    for group, label, changes in rows
  }


def _ternary() -> dict[str, Variant]:
  rows: list[tuple[str, Mapping[str, Any]]] = [
    *((f'scheme {name}', {'ternary.scheme': name})
      for name in ternary.SCHEMES),
    ('one scale a layer', {'ternary.granularity': 'layer'}),
    ('no distillation', {'ternary.distill': 0.0}),
  ]  # fmt: skip
  made = {
    f'ternary_{_name(label)}': Variant(
      'ternary', label, kind='ternary', changes={**_REFINED, **changes}
    )
    for label, changes in rows
  }
  # An anchor for both, as adaptation has it.
  anchored = {**_REFINED, 'ternary.anchor': 0.5, 'adapt.anchor': 0.5}
  group = 'to ternary from few samples'
  for kind, label in (
    ('ternary', 'adapted, then ternarized'), ('straight', 'straight'),
  ):  # fmt: skip
    made[f'few_{_name(label)}'] = Variant(
      group, label, kind=kind, changes=anchored
    )
  return made


def _name(label: str) -> str:
  kept = (c if c.isalnum() else ' ' for c in label)
  return '_'.join(''.join(kept).split())


TABLE: dict[str, Variant] = {
  **_methods(TWO),
  **_methods(FIVE),
  **_methods(TEN),
  **_corrupted(),
  **_settings(),
  **_ternary(),
}
