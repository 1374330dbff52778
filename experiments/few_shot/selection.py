"""The one rule by which every method gets its rate and its step."""

from typing import Any, NamedTuple

# Factor of the learning rates, and that of the generator once more.
Rates = tuple[float, float]


class Choice(NamedTuple):
  """What was chosen for a variant.

  Attributes:
    rate: factor of the learning rates.
    generator_rate: that of the generator once more.
    step: to stop at.
  """

  rate: float
  generator_rate: float
  step: int


def pick(
  found: dict[str, dict[Rates, dict[int, float]]], limit: float
) -> dict[str, Any]:
  """Rate and step of the least Frechet distance among those that do not copy.

  Copies are few enough where they are at most `limit`, or at most a fifth of it
  more frequent than those of samples that were not trained on: generators that
  make few kinds of images are near to any sample.

  Args:
    found: `frechet`, `copied` and `unseen` by rates and step.
    limit: fraction of copies; of fresh real images it is `evaluate.NEAR`.

  Returns:
    The fields of `Choice`, their `frechet` and `copied`, and whether that is
    `allowed`; where nothing is, those of the fewest copies.
  """

  def allowed(rates: Rates, step: int) -> bool:
    most = max(limit, found['unseen'][rates][step] + 0.2 * limit)
    return found['copied'][rates][step] <= most

  curves = found['frechet']
  pairs = [(rates, step) for rates in curves for step in curves[rates]]
  some = [pair for pair in pairs if allowed(*pair)]
  measure = found['frechet' if some else 'copied']
  rates, step = min(some or pairs, key=lambda pair: measure[pair[0]][pair[1]])
  return {
    **Choice(*rates, step)._asdict(),
    'frechet': curves[rates][step],
    'copied': found['copied'][rates][step],
    'allowed': bool(some),
  }
