"""Smaller networks: which channels to keep, their removal, training on.

import coalesce_jax as cj
gen = cj.load('edge.safetensors')
small, history = cj.compress.edge.compress(key, gen, images, 0.25)
groups = cj.compress.channels.groups(gen.spec)
masks = {'up_1': scores > 0.5}
spec, params = cj.compress.slicing.sliced(gen.spec, gen.params, masks)
before, after = map(cj.compress.macs.total, (gen.spec, spec))
"""

from coalesce_jax.core import rooms

__getattr__ = rooms.submodules(__name__)
