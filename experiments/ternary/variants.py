"""The rows: how a float generator is made small, each a line here."""

from collections.abc import Mapping
import types
from typing import Any, NamedTuple

SAME = types.MappingProxyType[str, Any]({})


class Variant(NamedTuple):
  """One row.

  Attributes:
    label: in tables and figures.
    kind: of rows that share a colour; names the method in `METHODS`.
    changes: of the settings of ternarization, by field.
    ternary: whether what is trained is ternary.
  """

  label: str
  kind: str
  changes: Mapping[str, Any] = SAME
  ternary: bool = True


# Kind -> method in the table of all methods, which makes the row of a float
# generator, the only node.
METHODS = {
  'float': 'node',
  'longer': 'node_trained',
  '8 bits': 'node_8_bits',
  'afterwards': 'node_ternary',
  'trained': 'node_trained',
}
SCHEMES = {
  'truncated_gaussian': 'truncated Gaussian',
  'twn': 'TWN',
  'ttq': 'TTQ',
}
# Weight of the distance to the float generator.
DISTILL = 10.0
# As the authors of the truncated Gaussian scheme and its users have it.
_PAPER = {
  'scheme': 'truncated_gaussian', 'granularity': 'layer',
  'threshold_init': 'max', 'thresholds_first': True, 'distill': 0.0,
}  # fmt: skip


def _afterwards() -> dict[str, Variant]:
  starts = {'twn': 'TWN', 'truncated_gaussian': '.61 sigma'}
  return {
    f'afterwards_{scheme}_{granularity}': Variant(
      f'{label} afterwards, one scale a {granularity}',
      'afterwards',
      {'scheme': scheme, 'granularity': granularity, 'threshold_init': 'sigma'},
    )
    for scheme, label in starts.items()
    for granularity in ('layer', 'channel')
  }


def _trained() -> dict[str, Variant]:
  made = {}
  for scheme, label in SCHEMES.items():
    for granularity, distilled in (
      ('layer', False), ('channel', False), ('channel', True),
    ):  # fmt: skip
      name = f'{scheme}_{granularity}' + '_distilled' * distilled
      changes: dict[str, Any] = {'scheme': scheme, 'granularity': granularity}
      made[name] = Variant(
        f'{label}, a {granularity}' + ', distilled' * distilled,
        'trained',
        changes | {'distill': DISTILL if distilled else 0.0},
      )
  return made


TABLE: dict[str, Variant] = {
  'float': Variant('float', 'float'),
  'longer': Variant('float, trained as much longer', 'longer', ternary=False),
  'bits8': Variant('8 bits afterwards', '8 bits'),
  **_afterwards(),
  'paper': Variant(
    "the paper's, ternary critic", 'trained', {**_PAPER, 'critic': True}
  ),
  'paper_float_critic': Variant("the paper's, float critic", 'trained', _PAPER),
  **_trained(),
  'distilled_ternary_critic': Variant(
    'truncated Gaussian, a channel, distilled, ternary critic',
    'trained',
    {'critic': True, 'distill': DISTILL},
  ),
}
