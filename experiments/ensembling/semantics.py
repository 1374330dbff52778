"""How wrong a class is, by groups of classes, and scores of predictions.

The groups are those of the meaning of the classes. They do not depend on any
model, in contrast to the similarity by confusions.

Shapes: N predictions, L classes.
"""

from collections.abc import Mapping

import numpy as np

# Labels of each group.
GROUPS: Mapping[str, tuple[tuple[int, ...], ...]] = {
  # For the upper body, trousers, shoes, bags.
  'fashion_mnist': ((0, 2, 3, 4, 6), (1,), (5, 7, 9), (8,)),
  # Of the air and the water, on wheels, small animals, pets, with hooves.
  'cifar10': ((0, 8), (1, 9), (2, 6), (3, 5), (4, 7)),
}
SCORES = ('accuracy', 'semantic_error', 'severity', 'log_loss')


def distances(dataset: str) -> np.ndarray:
  """Returns the semantic error of each class for each label, `[L, L]`.

  It is 0 for the label itself, 1/2 within its group, and 1 elsewhere.
  """
  groups = GROUPS[dataset]
  count = sum(map(len, groups))
  found = np.ones((count, count))
  for group in groups:
    found[np.ix_(group, group)] = 0.5
  np.fill_diagonal(found, 0.0)
  return found


def scores(
  probabilities: np.ndarray, labels: np.ndarray, distance: np.ndarray
) -> dict[str, float]:
  """Scores predictions, each of which chooses its most probable class.

  Args:
    probabilities: `[N, L]`.
    labels: `[N]`.
    distance: semantic errors, `[L, L]`.

  Returns:
    `accuracy`; `semantic_error`, its mean over all predictions; `severity`, its
    mean over the wrong ones; `log_loss`, the mean negative logarithm of the
    probability of the label, in nats.
  """
  chosen = probabilities.argmax(1)
  errors, wrong = distance[labels, chosen], chosen != labels
  right = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
  return {
    'accuracy': float(np.mean(~wrong)),
    'semantic_error': float(errors.mean()),
    'severity': float(errors[wrong].mean()) if wrong.any() else 0.0,
    'log_loss': float(-np.log(right).mean()),
  }


def similarity(
  probabilities: np.ndarray, labels: np.ndarray, least: float = 1e-4
) -> np.ndarray:
  r"""Returns how much models confuse classes, `[L, L]`.

  Let :math:`A_{ij}` be the mean probability of class j for label i. Then the
  similarity is :math:`(A_{ij} A_{ji} / (A_{ii} A_{jj}))^{1/2}`, 1 of a class
  and itself, and at most 1.

  Args:
    probabilities: of several models, `[M, N, L]`.
    labels: `[N]`.
    least: smallest similarity.
  """
  count = probabilities.shape[2]
  shown = np.eye(count)[labels]  # [N, L]
  sums = np.einsum('mnj,ni->ij', probabilities, shown)
  means = sums / np.maximum(len(probabilities) * shown.sum(0), 1.0)[:, None]
  means = np.maximum(means, 1e-12)
  own = np.sqrt(np.diag(means))
  found = np.sqrt(means * means.T) / (own[:, None] * own[None])
  return np.clip(found, least, 1.0)
