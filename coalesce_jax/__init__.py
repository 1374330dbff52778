"""Small generative models at an edge node, by coalescing pretrained ones.

import coalesce_jax as cj
gen = cj.load('node-a.safetensors')
meta, history = cj.barycenter(key, [gen_a, gen_b], weights=(.5, .5))
edge, history = cj.adapt(key, meta, images)
small, history = cj.ternarize(key, edge, images)
cj.save('edge.safetensors', small)
"""

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

__version__ = '0.1.0'
