"""Smaller networks: counts of multiplications, and removal of channels.

import coalesce_jax as cj
gen = cj.load('edge.safetensors')
groups = cj.compress.channels.groups(gen.spec)
masks = {'up_1': scores > 0.5}
spec, params = cj.compress.slicing.sliced(gen.spec, gen.params, masks)
before, after = map(cj.compress.macs.total, (gen.spec, spec))
"""

from coalesce_jax.core import rooms

__getattr__ = rooms.submodules(__name__)
