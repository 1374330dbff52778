"""Names the feature networks. It needs no JAX.

What loads them is in `feature_registry`.
"""

# The networks that are part of this package, by the data set of their training.
COMMITTED = ('digits', 'mnist', 'fashion_mnist', 'cifar10')
NAMES = (*COMMITTED, 'imagenet', 'random')
