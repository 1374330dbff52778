"""The methods that are compared: each is a few settings of the same rounds.

A row that is trained changes the settings of the configuration. The others
evaluate what another row learned in another way.
"""

from collections.abc import Mapping
import types
from typing import Any, NamedTuple

_DENSE = types.MappingProxyType({'gates': 'none', 'order': 'backbone'})
# With steps of size 1 at the start, rows of first order stay at chance.
_FIRST = types.MappingProxyType({'second_order': False, 'backbone_rate': 0.1})
# Federated averaging: five local steps of SGD, and the mean of the nodes. The
# last round is kept. Early stopping would judge by a step of a size that is not
# learned here; it is selected afterwards.
_AVERAGING = types.MappingProxyType({
  'one_step': False, 'local_steps': 5, 'server': 'average',
  'learn_rates': False, 'select_every': 0,
})  # fmt: skip
MAIN = 'metagater'
DENSE = 'per_fedavg'


class Row(NamedTuple):
  """How a row differs from the configuration.

  Attributes:
    changes: values of fields of the configuration or of its section 'meta'.
    learned: name of the row that learned what this one evaluates; '' learns.
    how: 'step' evaluates after one step, 'before' without it, 'new_gates' with
      gates that begin at the node, 'random' with random gates that open as many
      channels as those of the other row.
    tuned: whether the factor of the step sizes is selected on validation nodes,
      for what has not learned step sizes.
    slim: whether the width makes the network take as many multiply-accumulates
      as `MAIN`.
  """

  changes: Mapping[str, Any] = types.MappingProxyType({})
  learned: str = ''
  how: str = 'step'
  tuned: bool = False
  slim: bool = False


TABLE: dict[str, Row] = {
  DENSE: Row(_DENSE),
  MAIN: Row({}),
  'fedavg': Row({**_DENSE, **_AVERAGING}, how='before'),
  'fedavg_one_step': Row(
    {**_DENSE, **_AVERAGING}, learned='fedavg', tuned=True
  ),
  'fedavg_gates_one_step': Row(_AVERAGING, tuned=True),
  'per_fedavg_first_order': Row({**_DENSE, **_FIRST}),
  'metagater_first_order': Row(_FIRST),
  'metagater_backbone_first': Row({'order': 'backbone_first'}),
  'metagater_backbone_first_first_order': Row(
    {'order': 'backbone_first', **_FIRST}
  ),
  'static_gates': Row({'gates': 'static', 'order': 'backbone'}),
  'personal_gates': Row({**_AVERAGING, 'personal_gates': True}, tuned=True),
  'slim': Row(_DENSE, slim=True),
  'new_gates': Row({}, learned=DENSE, how='new_gates', tuned=True),
  'random_gates': Row({'order': 'backbone'}, learned=MAIN, how='random'),
}


def curve(rhos: tuple[float, ...]) -> dict[str, Row]:
  """Returns a row for each weight of the penalty, which then has no target."""
  return {f'rho_{rho:g}': Row({'rho': rho, 'target': 0.0}) for rho in rhos}


def needs(row: Row) -> tuple[str, ...]:
  """Returns the rows whose results this one needs."""
  return tuple(filter(None, (row.learned, MAIN if row.slim else '')))
