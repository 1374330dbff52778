"""ONNX graphs: the samples of JAX, in two bits, by checked standard graphs."""

import itertools

import jax
import numpy as np
import onnx
from onnx import numpy_helper
import pytest
import scipy.stats

from coalesce_jax.export import onnx_checks
from coalesce_jax.export import onnx_files
from coalesce_jax.export import onnx_graphs
from coalesce_jax.methods import mixture
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import packing
from coalesce_jax.networks import registry
from coalesce_jax.transforms import ternary
from tests import small

LATENT = 5


def spec(network, shape, **options):
  return generator_lib.Spec(
    network, LATENT, shape, generator_lib.freeze(options)
  )


NETWORKS = {
  'dcgan layer': spec('dcgan', (28, 28, 3), width=3),
  'dcgan pixel': spec('dcgan', (28, 28, 1), width=3, norm='pixel'),
  'dcgan none': spec('dcgan', (28, 28, 1), width=3, norm='none'),
  'wgan_gp_mnist': spec('wgan_gp_mnist', (28, 28, 1), width=4),
  'mlp': spec(
    'mlp', (3, 2, 1), hidden=(8, 6), activation='leaky_relu', output='tanh'
  ),
  'mlp without affine path': spec('mlp', (7,), hidden=(4,), affine=False),
  'mlp tanh': spec('mlp', (2,), hidden=(40,), activation='tanh'),
  'linear': spec('mlp', (3,), hidden=()),
}
OTHER_SIZES = {
  f'dcgan {size} {norm}': spec('dcgan', (size, size, 1), width=2, norm=norm)
  for size in (8, 32, 64)
  for norm in ('layer', 'pixel', 'none')
}
SCHEMES = list(itertools.product(ternary.SCHEMES, ternary.GRANULARITIES))


def difference(generator, weights, *batches):
  """The largest difference of samples, over batches and ways to run it."""
  z = np.random.default_rng(0).standard_normal(
    (max(batches), LATENT), np.float32
  )
  expected = np.asarray(jax.jit(generator.network.apply)(generator.params, z))
  # Equal samples would tell nothing.
  assert np.std(expected, 0).max() > 0.02
  data = onnx_graphs.model(generator, weights).SerializeToString()
  found = []
  for expand, batch in itertools.product((False, True), batches):
    samples = onnx_files.load(data, expand=expand)(z[:batch])
    assert samples.dtype == np.float32
    assert samples.shape == (batch, *generator.spec.image_shape)
    found.append(np.abs(samples - expected[:batch]).max())
  return max(found)


@pytest.mark.parametrize('name', list(NETWORKS))
def test_samples_are_those_of_jax(name):
  dense = small.drawn(NETWORKS[name])
  assert difference(dense, 'float32', 1, 7) < 1e-4
  for granularity, sides in itertools.product(ternary.GRANULARITIES, (1, 2)):
    made = small.coded(dense, granularity, sides)
    for weights in ('int2', 'int4', 'float32'):
      assert difference(made, weights, 1, 7) < 1e-4, (granularity, sides)


def check_schemes(chosen):
  dense = small.drawn(chosen)
  for scheme, granularity in SCHEMES:
    made = small.ternarized(dense, scheme, granularity)
    for weights in ('int2', 'int4'):
      assert difference(made, weights, 1, 7) < 1e-4, (scheme, granularity)


def test_samples_of_every_scheme_are_those_of_jax():
  check_schemes(NETWORKS['linear'])


@pytest.mark.slow
@pytest.mark.parametrize('name', [*NETWORKS, *OTHER_SIZES])
def test_samples_of_every_network_and_scheme_are_those_of_jax(name):
  check_schemes((NETWORKS | OTHER_SIZES)[name])


def test_every_network_is_among_these():
  assert {s.network for s in NETWORKS.values()} == set(registry.GENERATORS)


def mixed(chosen, *weights):
  nodes = [small.drawn(NETWORKS[chosen], k) for k in range(len(weights))]
  return nodes, mixture.mixture(nodes, weights)


@pytest.mark.parametrize('weights', [(1.0,), (0.2, 0.5, 0.3), (0.0, 1.0)])
def test_a_mixture_gives_the_samples_of_the_selected_generators(weights):
  nodes, made = mixed('mlp', *weights)
  z = np.random.default_rng(2).standard_normal(
    (40, LATENT + len(weights)), np.float32
  )
  chance = scipy.stats.norm.cdf(z[:, LATENT:].astype(np.float64))
  # The generator whose exponential clock of rate w rings first.
  with np.errstate(divide='ignore'):
    chosen = np.argmin(-np.log(chance) / np.array(weights), 1)
  assert set(chosen) == {k for k, w in enumerate(weights) if w}
  every = np.stack(
    [jax.jit(n.network.apply)(n.params, z[:, :LATENT]) for n in nodes]
  )
  expected = every[chosen, np.arange(40)]
  data = onnx_graphs.model(made, 'float32').SerializeToString()
  for expand in (False, True):
    found = onnx_files.load(data, expand=expand)(z)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize('chosen', ['dcgan layer', 'wgan_gp_mnist', 'linear'])
def test_mixtures_of_every_network_give_the_samples_of_jax(chosen):
  _, made = mixed(chosen, 0.5, 0.5)
  z = np.random.default_rng(3).standard_normal((9, LATENT + 2), np.float32)
  expected = jax.jit(made.network.apply)(made.params, z)
  data = onnx_graphs.model(made, 'float32').SerializeToString()
  found = onnx_files.load(data)(z)
  np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize('granularity', ternary.GRANULARITIES)
def test_ternary_leaves_of_a_mixture_are_codes(granularity):
  _, made = mixed('mlp', 0.5, 0.5)
  made = made._replace(params=jax.tree.map(np.asarray, made.params))
  made = small.coded(made, granularity, 2, ('nodes/.*/kernel',))
  z = np.random.default_rng(3).standard_normal((9, LATENT + 2), np.float32)
  expected = jax.jit(made.network.apply)(made.params, z)
  for weights in ('int2', 'int4'):
    model = onnx_graphs.model(made, weights)
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    wanted = getattr(onnx.TensorProto, weights.upper())
    assert kinds['1/out/kernel'] == kinds['0/dense_0/kernel'] == wanted
    found = onnx_files.load(model.SerializeToString())(z)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-4)


def test_the_largest_mixture_is_within_the_limits_of_a_file():
  chosen = OTHER_SIZES['dcgan 64 layer']
  nodes = [small.drawn(chosen, k) for k in range(2)]
  one, two = (
    len(onnx_graphs.model(mixture.mixture(n), 'float32').graph.node)
    for n in (nodes[:1], nodes)
  )
  most = one + (registry.MAX_NODES - 1) * (two - one)
  assert 1000 < most <= onnx_checks.MAX_NODES


def test_a_mixture_that_moves_latents_is_refused_in_one_line():
  made = small.mixed(small.VECTORS, steps=1)
  with pytest.raises(ValueError, match='without --refine_steps') as caught:
    onnx_graphs.model(made, 'float32')
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('weights', ['int2', 'int4'])
def test_the_opset_is_the_lowest_that_has_the_type(weights):
  opset = onnx_graphs.KINDS[weights].opset
  for version, known in ((opset, True), (opset - 1, False)):
    schema = onnx.defs.get_schema('DequantizeLinear', version)
    types = {t for c in schema.type_constraints for t in c.allowed_type_strs}
    assert (f'tensor({weights})' in types) == known


def test_float32_graphs_have_the_lowest_opset_of_their_operators():
  since = [
    onnx.defs.get_schema(name, onnx_graphs.KINDS['float32'].opset).since_version
    for name in onnx_graphs.OPERATORS
  ]
  assert max(since) == onnx_graphs.KINDS['float32'].opset == 17


def test_a_norm_over_a_layer_is_one_operator():
  graph = onnx_graphs.model(
    small.drawn(NETWORKS['dcgan layer']), 'float32'
  ).graph
  found = [node.op_type for node in graph.node]
  assert found.count('LayerNormalization') == found.count('Relu') == 2
  assert not {'ReduceMean', 'Sub', 'Div', 'Sqrt'} & {*found}


@pytest.mark.parametrize('granularity', ternary.GRANULARITIES)
def test_any_leaf_may_be_ternary(granularity):
  dense = small.drawn(NETWORKS['dcgan layer'])
  made = small.coded(dense, granularity, 2, ('.*',))
  assert difference(made, 'int2', 1, 7) < 1e-4


@pytest.mark.parametrize(('weights', 'bits'), [('int2', 2), ('int4', 4)])
@pytest.mark.parametrize('sides', [1, 2])
def test_a_ternary_leaf_is_one_initialiser_of_exact_codes(weights, bits, sides):
  dense = small.drawn(NETWORKS['wgan_gp_mnist'])
  made = small.coded(dense, 'channel', sides)
  graph = onnx_graphs.model(made, weights).graph
  tensors = {tensor.name: tensor for tensor in graph.initializer}
  kernel = np.asarray(made.params['up_1']['kernel'])
  stored = tensors['up_1/kernel']
  assert len(stored.raw_data) == kernel.size * bits // 8
  codes = numpy_helper.to_array(stored).astype(int)
  np.testing.assert_array_equal(codes, np.sign(kernel).transpose(2, 3, 0, 1))
  scales = packing.pack(kernel, 'channel').scales
  assert len(scales) == sides
  found = [
    numpy_helper.to_array(tensors[node.input[1]])
    for node in graph.node
    if node.input[0] == 'up_1/kernel'
  ]
  np.testing.assert_array_equal(found, scales)
  floats = [
    name
    for name, tensor in tensors.items()
    if tensor.data_type == onnx.TensorProto.FLOAT and 'kernel' in name
  ]
  assert not floats


def test_a_scale_of_a_layer_is_written_for_every_row():
  # One scale and a reshape after it are computed wrongly before 1.27.
  made = small.coded(small.drawn(NETWORKS['dcgan layer']), 'layer', 1)
  graph = onnx_graphs.model(made, 'int2').graph
  tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
  nodes = [n for n in graph.node if n.op_type == 'DequantizeLinear']
  assert [n.input[0] for n in nodes] == [
    'project/kernel', 'up_1/kernel', 'out/kernel'
  ]  # fmt: skip
  for node in nodes:
    (axis,) = (a.i for a in node.attribute)
    codes, scale = (tensors[name] for name in node.input)
    assert axis == 0 and scale.shape == codes.shape[:1] != (1,)
    kernel = made.params[node.input[0].split('/')[0]]['kernel']
    np.testing.assert_array_equal(scale, np.full(len(codes), kernel.max()))


def test_graphs_pass_the_checker_and_say_every_shape():
  made = small.coded(small.drawn(NETWORKS['dcgan layer']), 'layer', 2)
  for weights, kind in onnx_graphs.KINDS.items():
    model = onnx_graphs.model(made, weights)
    onnx.checker.check_model(model, full_check=True)
    (opset,) = model.opset_import
    assert (opset.domain, opset.version) == ('', kind.opset)
    assert {n.op_type for n in model.graph.node} <= onnx_graphs.OPERATORS
    inferred = onnx.shape_inference.infer_shapes(
      model, strict_mode=True, data_prop=True
    ).graph
    ends = {
      value.name: [
        d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim
      ]
      for value in (*inferred.input, *inferred.output)
    }
    assert ends == {'z': ['batch', LATENT], 'images': ['batch', 28, 28, 3]}
    assert len(inferred.value_info) + 1 == len(model.graph.node)


def test_a_network_without_a_graph_is_refused_in_one_line():
  made = small.drawn(NETWORKS['linear'])
  other = made._replace(spec=spec('mlp2', (2,)))
  with pytest.raises(ValueError, match="'mlp2' has no ONNX graph") as caught:
    onnx_graphs.model(other, 'float32')
  assert '\n' not in str(caught.value)


def test_weights_that_are_not_ternary_are_refused():
  dense = small.drawn(NETWORKS['linear'])
  made = small.coded(dense, 'layer', 1)
  with pytest.raises(ValueError, match='not ternary'):
    onnx_graphs.model(made._replace(params=dense.params), 'int2')
