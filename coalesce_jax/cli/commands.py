"""The subcommands of `coalesce`, by name."""

from coalesce_jax.cli import adapting
from coalesce_jax.cli import exporting
from coalesce_jax.cli import inspection
from coalesce_jax.cli import mixing
from coalesce_jax.cli import pipeline
from coalesce_jax.cli import training
from coalesce_jax.cli.common import Command

TABLE: dict[str, Command] = {
  'run': Command('the whole pipeline', pipeline.define_run, pipeline.run),
  'pretrain': Command(
    'one generator a node', training.define_pretrain, training.pretrain
  ),
  'barycenter': Command(
    'the barycenter of bundles', training.define_barycenter, training.barycenter
  ),
  'mixture': Command(
    'all bundles as one generator that draws among them',
    mixing.define_mixture,
    mixing.mixture,
  ),
  'adapt': Command(
    'from bundles and local images to an edge model',
    adapting.define_adapt,
    adapting.adapt,
  ),
  'ternarize': Command(
    'a ternary copy of a generator',
    adapting.define_ternarize,
    adapting.ternarize,
  ),
  'export': Command(
    'a program of a generator for devices',
    exporting.define_export,
    exporting.export,
  ),
  'sample': Command(
    'images of a bundle', inspection.define_sample, inspection.sample
  ),
  'evaluate': Command(
    'a bundle against real images',
    inspection.define_evaluate,
    inspection.evaluate,
  ),
  'report': Command(
    'the report of a run, again', pipeline.define_report, pipeline.report
  ),
  'data': Command(
    'find and describe a data set', inspection.define_data, inspection.data
  ),
}
