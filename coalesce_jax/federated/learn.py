"""MetaGater: federated meta-learning of a backbone and of its channel gates.

Reimplemented from the abstract of Lin, Yang, He, Fan and Zhang,
https://arxiv.org/abs/2011.12511. The paper itself could not be read. What the
abstract leaves open follows related work:

* gates: Bejnordi et al., https://arxiv.org/abs/1907.06627
* rounds: Lin, Yang and Zhang, https://arxiv.org/abs/2001.03229
* the gradient through the step: Fallah et al., https://arxiv.org/abs/2002.07948

Nodes learn meta-parameters of backbone and gates together. A new node adapts
both in one step to few labelled images. What its gates close is cut out.

Shapes: S seeds, B images, H, W, C image, N classes.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.data import samples
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import evaluation
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import rounds
from coalesce_jax.federated import settings
from coalesce_jax.training import loop
from coalesce_jax.training import scan

# Tasks of each score of early stopping.
_VALIDATION_TASKS = 100
_VALIDATION_SEED = 0


class Meta(NamedTuple):
  """What a new node adapts.

  Attributes:
    spec: the network.
    params: meta-parameters, see `meta`; with a leading axis S for several
      seeds.
    order: order of the step, one of `settings.ORDERS`.
    rho: weight of the sparsity penalty in the step.
    target: share of open channels above which the penalty begins.
    fixed: whether labels mean the same at all nodes.
  """

  spec: classifier.Spec
  params: types.Params
  order: str = settings.Config.order
  rho: float = settings.Config.rho
  target: float = settings.Config.target
  fixed: bool = False

  @classmethod
  def learned(
    cls,
    spec: classifier.Spec,
    params: types.Params,
    config: settings.Config,
    fixed: bool = False,
  ) -> 'Meta':
    """Returns what settings have learned; see attributes for arguments."""
    return cls(spec, params, config.order, config.rho, config.target, fixed)

  @property
  def config(self) -> settings.Config:
    """Settings with which a new node takes its step."""
    return settings.Config(order=self.order, rho=self.rho, target=self.target)

  def member(self, index: int) -> 'Meta':
    """Returns the meta-parameters of one seed."""
    return self._replace(params=trees.member(self.params, index))


class Adapted(NamedTuple):
  """A network that a node adapted.

  Attributes:
    gated: the network with its gates, which look at each image.
    static: the network without the channels that few images of the support
      open. It has no gates.
    masks: of each gated convolution the channels that `static` has, booleans.
    loss: mean cross-entropy on the support before and after the step, in nats.
  """

  gated: classifier.Classifier
  static: classifier.Classifier
  masks: tuple[np.ndarray, ...]
  loss: tuple[float, float]


def metagater(
  key: types.PRNGKey,
  nodes: tasks.Nodes,
  spec: classifier.Spec,
  shape: tasks.Shape,
  *,
  config: settings.Config | None = None,
  validation: tasks.Nodes | None = None,
  hooks: loop.Hooks | None = None,
) -> tuple[Meta, loop.History]:
  """Learns meta-parameters over rounds of nodes.

  Args:
    key: one key, or `[S]` keys for S seeds in one program; consumed.
    nodes: nodes for meta-training, see `data.tasks`.
    spec: the network.
    shape: sizes of the tasks.
    config: the settings; None is the defaults.
    validation: nodes for early stopping by the error after one step; None
      trains to the end of the schedule. Rounds before channels have closed, see
      `settings.Config.closing`, are not kept.
    hooks: effects between chunks of rounds.

  Returns:
    Meta-parameters, with a leading axis S for `[S]` keys, and the history of
    the metrics of `rounds.make`, `[T, ...]`.

  Raises:
    ValueError: nodes, network and tasks do not fit.
    loop.Interrupted: a hook asked to stop; the state is saved.
    loop.Diverged: parameters are not finite.
  """
  key = keys_lib.typed(key)
  config = settings.Config() if config is None else config
  checked(spec, nodes, shape, 'nodes')
  made, batched = rounds.make(spec, config, shape), bool(key.ndim)
  score = None
  if validation is not None:
    checked(spec, validation, shape, 'validation')
    drawn = evaluation.draw(
      validation, shape, _VALIDATION_TASKS, _VALIDATION_SEED
    )
    score = evaluation.error(spec, config, drawn, batched)
  inputs: Any = nodes
  begin: Any = made.init
  if batched:
    inputs = jax.tree.map(
      lambda x: jnp.broadcast_to(x, (*key.shape, *x.shape)), nodes
    )
    begin = jax.vmap(made.init)
  schedule = config.schedule
  if spec.gates != 'none':
    schedule = dataclasses.replace(
      schedule, select_after=math.ceil(config.closing * schedule.steps)
    )
  state = scan.once(begin)(key, inputs)
  result = loop.drive(made, state, inputs, key, schedule, hooks, score)
  return Meta.learned(spec, result.model, config), result.history


def checked(
  spec: classifier.Spec, nodes: tasks.Nodes, shape: tasks.Shape, name: str
) -> None:
  """Checks that nodes, network and tasks fit each other.

  Args:
    spec: the network.
    nodes: the nodes.
    shape: sizes of the tasks.
    name: name of the nodes, for messages.

  Raises:
    ValueError: images have another shape, a node has fewer classes, or
      images of one, than a task takes, or there are labels that the network has
      no output for.
  """
  found = tuple(nodes.images.shape[1:])
  if found != tuple(spec.image_shape):
    raise ValueError(
      f'{name}: images {found}, the network takes {tuple(spec.image_shape)}'
    )
  labels = int(jnp.max(nodes.labels)) + 1
  wanted = shape.ways if shape.relabelled else labels
  if wanted > spec.classes:
    raise ValueError(
      f'{name}: {wanted} classes, the network has {spec.classes} outputs'
    )
  counts = np.asarray(nodes.counts)
  least = shape.shots + shape.queries
  few = (counts > 0) & (counts < least)
  if few.any():
    raise ValueError(
      f'{name}: a class of node {int(np.flatnonzero(few.any(1))[0])} has '
      f'{int(counts[few].min())} images, a task takes {least}'
    )
  owned = np.count_nonzero(counts, 1)
  ways = shape.ways if shape.relabelled else 1
  if owned.min() < ways or counts.shape[1] < shape.ways:
    raise ValueError(
      f'{name}: node {int(owned.argmin())} has {int(owned.min())} classes, a '
      f'task takes {shape.ways}'
    )


def adapt_one_step(
  meta: Meta,
  images: Any,
  labels: Any,
  *,
  names: Sequence[str] = (),
) -> Adapted:
  """Adapts meta-parameters to labelled images in exactly one step.

  Args:
    meta: meta-parameters of one seed.
    images: `[B, H, W, C]`, uint8 or floats in [-1, 1].
    labels: whole numbers in [0, N), `[B]`.
    names: names of the classes; () is none.

  Returns:
    The adapted network with its gates, and its static copy.

  Raises:
    ValueError: images or labels do not fit the network; one line.
  """
  spec = meta.spec
  array = samples.array(images, spec.image_shape)
  found = tuple(array.shape[1:])
  if found != spec.image_shape or not len(array):
    raise ValueError(
      f'images: {array.shape}, not [B, {", ".join(map(str, spec.image_shape))}]'
      f'{samples.advice(found, spec.image_shape)}'
    )
  array = jnp.asarray(samples.checked(array, spec.image_shape))
  classes = np.asarray(labels)
  if classes.shape != (len(array),) or classes.dtype.kind not in 'iu':
    raise ValueError(
      f'labels: {classes.dtype} {classes.shape}, not {len(array)} whole numbers'
    )
  if classes.min() < 0 or classes.max() >= spec.classes:
    raise ValueError(
      f'labels: from {classes.min()} to {classes.max()}, the network has '
      f'{spec.classes} outputs: 0 to {spec.classes - 1}'
    )
  batch = tasks.Batch(
    array, jnp.asarray(classes, jnp.int32), jnp.ones(len(array))
  )

  @jax.jit
  def run(params: types.Params) -> Any:
    before, _ = meta_lib.cross_entropy(spec, params, batch)
    adapted = meta_lib.adapt(spec, meta.config, params, batch)
    after, _ = meta_lib.cross_entropy(spec, adapted, batch)
    gates = spec.build().apply(adapted, pixels.decode(array)).gates
    return adapted, gates, before, after

  adapted, gates, before, after = run(meta.params)
  masks = classifier.usual(gates)
  small, params = classifier.static(spec, adapted, masks)
  return Adapted(
    classifier.Classifier(spec, adapted, tuple(names)),
    classifier.Classifier(small, params, tuple(names)),
    tuple(masks),
    (float(before), float(after)),
  )
