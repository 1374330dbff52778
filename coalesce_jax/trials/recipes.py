"""How methods are trained that only experiments compare: each a few lines.

Shapes: S replicas (seeds, or learning rates), N local samples.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import minegan
from coalesce_jax.methods import mixture
from coalesce_jax.methods import piggyback_adaptation
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import nearest
from coalesce_jax.pipeline import recipes
from coalesce_jax.pipeline.recipes import Run
from coalesce_jax.transforms import base
from coalesce_jax.transforms import int8
from coalesce_jax.transforms import ternary as ternary_lib
from coalesce_jax.transforms import ternary_config

# A ball's radius is a part of this distance at least, in units of the samples;
# digits are about ten from each other.
LEAST_DISTANCE = 0.01


def augmented(run: Run, **changes: Any) -> Run:
  """Adds the augmentation of the settings, and other changes."""
  augment = run.settings.adapt.augment
  return recipes.change(run, augment=augment, **changes)


def all_images(run: Run) -> Run:
  """Replaces the local samples by all training images of the target."""
  images = jnp.asarray(run.problem.target)
  return run._replace(
    local=jnp.broadcast_to(images, (len(run.key), *images.shape))
  )


def mined(run: Run) -> generator.Generator:
  """Trains MineGAN's miners, with the nodes frozen."""
  return minegan.mine(
    run.key, run.nodes, run.local, config=run.config, hooks=run.hooks
  )[0]


def borrowed(run: Run) -> generator.Generator:
  """Mixes filters of the nodes, the nearest one first, with new ones."""
  nodes = nearest.ordered(run.nodes, run.local)
  return piggyback_adaptation.borrow(
    run.key, nodes, run.local, config=run.config, hooks=run.hooks
  )[0]


def size_of_mined(made: generator.Generator, settings: Any) -> int:
  """Counts four bytes a parameter: no bundle can hold miners."""
  del settings
  return 4 * trees.count(made.params)


def with_critics(
  run: Run,
  start: generator.Generator,
  critics: Sequence[generator.Generator],
) -> generator.Generator:
  """Adapts a start by the critics of several generators, without an anchor."""
  run = recipes.change(run, anchor=0.0, objective='w1')
  return adaptation.adapt(
    run.key, start, run.local, hooks=run.hooks, judges=critics,
    config=run.config,
  )[0]  # fmt: skip


def with_all_critics(run: Run) -> generator.Generator:
  """Adapts the nearest node by the critics of all nodes and the metamodel."""
  critics = (*run.nodes, run.starts['refined'])
  return with_critics(run, recipes.nearest_node(run), critics)


def onwards(run: Run) -> generator.Generator:
  """Adapts transfer through all nodes by its critic and those of the nodes."""
  start = run.starts['sequential']
  return with_critics(run, start, (start, *run.nodes))


def alike(run: Run) -> generator.Generator:
  """Does the same with as many critics, all of them that of the start."""
  start = run.starts['sequential']
  return with_critics(run, start, (start,) * (1 + len(run.nodes)))


def larger(run: Run) -> generator.Generator:
  """Trains with the start's critic alone, by batches as many times as large."""
  size = (1 + len(run.nodes)) * run.config.game.batch_size
  run = recipes.change(run, batch_size=size)
  return recipes.transfer(run, run.starts['sequential'])


def together(run: Run) -> generator.Generator:
  """Adapts all nodes as one, by their critics and that of the metamodel."""
  critics = (*run.nodes, run.starts['refined'])
  return with_critics(run, mixture.mixture(run.nodes), critics)


def ball(run: Run) -> generator.Generator:
  """Adapts within a ball around the metamodel, radii as of `run.values`."""
  # The critics' first estimate, which may be below zero where there is hardly
  # a distance: then there is hardly a ball.
  radius = run.values * np.maximum(run.distance, LEAST_DISTANCE)
  return recipes.adapt(
    recipes.change(run, objective='ball', radius=radius), 'refined'
  )


def paper_code(run: Run) -> generator.Generator:
  """Adapts with the habits of the paper's published code."""
  paper = adaptation.paper_code(run.config.schedule.steps)
  game = dataclasses.replace(
    run.config.game, objective='w1', gp_norm=paper.game.gp_norm,
    reuse_batch=paper.game.reuse_batch,
  )  # fmt: skip
  config = dataclasses.replace(
    paper, game=game, schedule=run.config.schedule, rate=run.config.rate,
    generator_rate=run.config.generator_rate, held_out=run.config.held_out,
  )  # fmt: skip
  return recipes.adapt(run._replace(config=config), 'barycenter_paper')


def ternary(run: Run) -> generator.Generator:
  """Ternarizes what was adapted without an anchor, within the same budget."""
  config = config_lib.ternary(run.settings)
  game = dataclasses.replace(
    config.game, generator_batches=run.config.game.generator_batches,
    # The rate falls as slowly as in a run of full length.
    decay_steps=config.schedule.steps,
  )  # fmt: skip
  config = dataclasses.replace(
    config, game=game, decay=False, schedule=run.config.schedule,
    warmup=run.config.warmup, rate=run.config.rate,
    generator_rate=run.config.generator_rate,
  )  # fmt: skip
  return recipes.ternarize(run._replace(config=config), 'ours_free')


def train_node(run: Run) -> generator.Generator:
  """Trains the first node on all training images, in float or ternary."""
  return recipes.adapt(
    all_images(run)._replace(starts={'node': run.nodes[0]}), 'node'
  )


def round_node(run: Run) -> generator.Generator:
  """Rounds the kernels that would be ternary to 8 bits, without training."""
  leaves = config_lib.scheme(run.settings).leaves
  node = run.nodes[0]
  params = jax.vmap(lambda params: int8.rounded(params, leaves))(node.params)
  return node._replace(params=params)


def size_of_8_bits(made: generator.Generator, settings: Any) -> int:
  """Counts a byte a weight and a float a channel; nothing writes such a file.

  Args:
    made: a generator without ensemble axes.
    settings: configuration of the pipeline, which names the leaves.
  """
  flat = trees.flatten(made.params)
  leaves = config_lib.scheme(settings).leaves
  shapes = [flat[name].shape for name in ternary_lib.selected(flat, leaves)]
  saved = sum(3 * math.prod(shape) - 4 * shape[-1] for shape in shapes)
  return bundle.size_bytes(made) - saved


def ternarize_node(run: Run) -> generator.Generator:
  """Ternarizes the first node without training."""
  how = config_lib.scheme(run.settings)
  members = [
    ternarize_untrained(ensembles.member(run.nodes[0], s), how)
    for s in range(len(run.key))
  ]
  return ensembles.batched(members)


def ternarize_untrained(
  made: generator.Generator, how: ternary_config.Ternary
) -> generator.Generator:
  """Ternarizes a generator where its training would start.

  Args:
    made: in float, without ensemble axes.
    how: scheme, granularity, leaves and start of the thresholds.
  """
  reparam = ternary_lib.reparam(how)
  params = base.start(reparam, jax.random.key(0), made.params)
  spec = dataclasses.replace(made.spec, encodings=reparam.describe(params))
  return made._replace(params=params, spec=spec)
