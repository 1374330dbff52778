"""Federated meta-learning of classifiers whose gates close channels.

import coalesce_jax as cj
from coalesce_jax.data import tasks
shape = tasks.Shape(ways=5, shots=5, queries=5)
nodes = tasks.nodes(images, owned, shape)
spec = cj.federated.Spec('conv4', (28, 28, 1), classes=5)
meta, history = cj.federated.metagater(key, nodes, spec, shape)
adapted = cj.federated.adapt_one_step(meta, few_images, labels)
cj.federated.save('task.safetensors', adapted.static)
"""

from typing import TYPE_CHECKING

from coalesce_jax.core import rooms

if TYPE_CHECKING:
  from coalesce_jax.federated.classifier import Classifier as Classifier
  from coalesce_jax.federated.classifier import Spec as Spec
  from coalesce_jax.federated.classifier_files import load as load
  from coalesce_jax.federated.classifier_files import save as save
  from coalesce_jax.federated.learn import Adapted as Adapted
  from coalesce_jax.federated.learn import Meta as Meta
  from coalesce_jax.federated.learn import adapt_one_step as adapt_one_step
  from coalesce_jax.federated.learn import metagater as metagater
  from coalesce_jax.federated.settings import Config as Config

# Name -> the module that defines it.
_HOMES = {
  'Adapted': 'learn',
  'Classifier': 'classifier',
  'Config': 'settings',
  'Meta': 'learn',
  'Spec': 'classifier',
  'adapt_one_step': 'learn',
  'load': 'classifier_files',
  'metagater': 'learn',
  'save': 'classifier_files',
}
__all__ = tuple(_HOMES)
__getattr__ = rooms.submodules(__name__, _HOMES)
