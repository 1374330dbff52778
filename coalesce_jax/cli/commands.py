"""Lists the subcommands of `coalesce` by name."""

from coalesce_jax.cli import adapting
from coalesce_jax.cli import exporting
from coalesce_jax.cli import inspection
from coalesce_jax.cli import mixing
from coalesce_jax.cli import pipeline
from coalesce_jax.cli import training
from coalesce_jax.cli.common import Command

TABLE: dict[str, Command] = {
  'run': Command('runs the whole pipeline', pipeline.define_run, pipeline.run),
  'pretrain': Command(
    'trains one generator for each node',
    training.define_pretrain,
    training.pretrain,
  ),
  'barycenter': Command(
    'learns the barycenter of bundles',
    training.define_barycenter,
    training.barycenter,
  ),
  'mixture': Command(
    'combines all bundles in one generator',
    mixing.define_mixture,
    mixing.mixture,
  ),
  'adapt': Command(
    'adapts bundles to local images',
    adapting.define_adapt,
    adapting.adapt,
  ),
  'ternarize': Command(
    'trains a ternary copy of a generator',
    adapting.define_ternarize,
    adapting.ternarize,
  ),
  'export': Command(
    'writes a generator as a program for devices',
    exporting.define_export,
    exporting.export,
  ),
  'sample': Command(
    'draws images of a bundle', inspection.define_sample, inspection.sample
  ),
  'evaluate': Command(
    'evaluates a bundle against real images',
    inspection.define_evaluate,
    inspection.evaluate,
  ),
  'report': Command(
    'writes the report of a run again', pipeline.define_report, pipeline.report
  ),
  'data': Command(
    'finds and describes a data set', inspection.define_data, inspection.data
  ),
}
