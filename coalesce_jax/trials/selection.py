"""The selection criterion by which learning rates, steps and variants are set.

Candidates are compared by the Frechet distance to training images of the
target. Those that copy their local samples are left out where others do not.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

# Factor of the learning rates, and that of the generator once more.
Rates = tuple[float, float]
# Value of a measure by rates and step.
Measure = Mapping[Rates, Mapping[int, float]]


class Choice(NamedTuple):
  """What was selected for a variant.

  Attributes:
    rate: factor of the learning rates.
    generator_rate: that of the generator once more.
    step: to stop at.
  """

  rate: float
  generator_rate: float
  step: int


def select(
  frechet: Measure,
  copied: Measure | None = None,
  unseen: Measure | None = None,
  limit: float = 1.0,
) -> dict[str, Any]:
  """Selects rates and step of the least Frechet distance without copying.

  Copies are few enough where their fraction is at most `limit`. It may also
  exceed that of samples that were not trained on by a fifth of `limit`:
  generators that make few kinds of images are near to any sample.

  Args:
    frechet: squared distance to training images of the target.
    copied: fraction of copies of the samples that were trained on; None is that
      nobody is left out.
    unseen: the same of samples that were not trained on.
    limit: fraction of copies; of fresh real images it is `evaluate.NEAR`.

  Returns:
    The fields of `Choice`, their `frechet`, and where copies were measured
    their `copied`, and whether that is `allowed`; where nothing is, the
    candidate of the fewest copies.
  """
  pairs = [(rates, step) for rates in frechet for step in frechet[rates]]
  if copied is None or unseen is None:
    rates, step = min(pairs, key=lambda pair: frechet[pair[0]][pair[1]])
    found = {**Choice(*rates, step)._asdict(), 'frechet': frechet[rates][step]}
    return found | {'allowed': True}

  def allowed(rates: Rates, step: int) -> bool:
    most = max(limit, unseen[rates][step] + 0.2 * limit)
    return copied[rates][step] <= most

  some = [pair for pair in pairs if allowed(*pair)]
  measure = frechet if some else copied
  rates, step = min(some or pairs, key=lambda pair: measure[pair[0]][pair[1]])
  return {
    **Choice(*rates, step)._asdict(),
    'frechet': frechet[rates][step],
    'copied': copied[rates][step],
    'allowed': bool(some),
  }


def rank(selected: Mapping[str, Any]) -> tuple[bool, float]:
  """Orders what `select` returned: the better one comes first."""
  return not selected['allowed'], selected['frechet']
