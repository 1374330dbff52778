"""Small generative models at an edge node, by coalescing pretrained ones.

import coalesce_jax as cj
gen = cj.load('node-a.safetensors')
meta, history = cj.barycenter(key, [gen_a, gen_b], weights=(.5, .5))
edge, history = cj.adapt(key, meta, images)
small, history = cj.ternarize(key, edge, images)
cj.save('edge.safetensors', small)

Names are imported when they are first used, so that `coalesce --help` need not
wait for JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from coalesce_jax.core.version import VERSION

if TYPE_CHECKING:
  from coalesce_jax.methods.adaptation import adapt as adapt
  from coalesce_jax.methods.adaptation import ternarize as ternarize
  from coalesce_jax.methods.barycenter import barycenter as barycenter
  from coalesce_jax.methods.pretraining import pretrain as pretrain
  from coalesce_jax.metrics.generators import evaluate as evaluate
  from coalesce_jax.models.bundle import BundleError as BundleError
  from coalesce_jax.models.bundle import load as load
  from coalesce_jax.models.bundle import save as save
  from coalesce_jax.models.generator import Generator as Generator
  from coalesce_jax.models.generator import Spec as Spec

__version__ = VERSION

# Name -> the module that defines it.
_HOMES = {
  'BundleError': 'models.bundle',
  'Generator': 'models.generator',
  'Spec': 'models.generator',
  'adapt': 'methods.adaptation',
  'barycenter': 'methods.barycenter',
  'evaluate': 'metrics.generators',
  'load': 'models.bundle',
  'pretrain': 'methods.pretraining',
  'save': 'models.bundle',
  'ternarize': 'methods.adaptation',
}
__all__ = tuple(_HOMES)
# Rooms that need no import of their own: `cj.methods.adaptation.Config`.
_ROOMS = (
  'compress', 'continual', 'data', 'federated', 'gan', 'methods', 'metrics',
  'models', 'ot', 'parallel', 'translation',
)  # fmt: skip


def __getattr__(name: str) -> Any:
  if name in _HOMES:
    home = importlib.import_module(f'coalesce_jax.{_HOMES[name]}')
    return getattr(home, name)
  if name in _ROOMS:
    return importlib.import_module(f'coalesce_jax.{name}')
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
  return sorted({*globals(), *_HOMES, *_ROOMS})
