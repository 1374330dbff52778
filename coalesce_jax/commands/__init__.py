"""The subcommands of `coalesce`, by name."""

from coalesce_jax import cli
from coalesce_jax.commands import inspection
from coalesce_jax.commands import pipeline
from coalesce_jax.commands import training

TABLE: dict[str, cli.Command] = {
  'run': cli.Command('the whole pipeline', pipeline.define_run, pipeline.run),
  'pretrain': cli.Command(
    'one generator a node', training.define_pretrain, training.pretrain
  ),
  'barycenter': cli.Command(
    'the barycenter of bundles', training.define_barycenter, training.barycenter
  ),
  'adapt': cli.Command(
    'from bundles and local images to an edge model',
    training.define_adapt,
    training.adapt,
  ),
  'ternarize': cli.Command(
    'a ternary copy of a generator',
    training.define_ternarize,
    training.ternarize,
  ),
  'sample': cli.Command(
    'images of a bundle', inspection.define_sample, inspection.sample
  ),
  'evaluate': cli.Command(
    'a bundle against real images',
    inspection.define_evaluate,
    inspection.evaluate,
  ),
  'report': cli.Command(
    'the report of a run, again', pipeline.define_report, pipeline.report
  ),
  'data': cli.Command(
    'find and describe a data set', inspection.define_data, inspection.data
  ),
}
