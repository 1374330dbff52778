"""Sizes and operations of the networks that are timed, counted from shapes.

A product of `[m, k]` by `[k, n]` counts `2 m k n` operations. Only products
are counted: what else a step does, biases, activations, norms, random numbers,
optimiser, averages and diagnostics, is its overhead.

Shapes: B batch, Z latent, C channels, k kernel.
"""

import dataclasses

from coalesce_jax.models import generator
from coalesce_jax.networks import dcgan

KERNEL = 4


@dataclasses.dataclass(frozen=True)
class Network:
  """A `dcgan` generator and critic of one width.

  Attributes:
    size: of the images, in pixels.
    channels: of the images.
    width: of both networks.
    latent_size: Z.
  """

  size: int
  channels: int
  width: int
  latent_size: int = 64

  @property
  def base(self) -> int:
    """Pixels of the smallest map."""
    return dcgan.STAGES[self.size][0]

  @property
  def features(self) -> list[int]:
    """Channels of the generator's maps, before the image."""
    count = dcgan.STAGES[self.size][1]
    return [self.width * 2**i for i in reversed(range(count))]

  @property
  def critic_features(self) -> list[int]:
    """Channels of the critic's maps, after the image."""
    return self.features[::-1]

  def spec(self) -> generator.Spec:
    """Both networks by name."""
    options = (('width', self.width),)
    return generator.Spec(
      network='dcgan',
      latent_size=self.latent_size,
      image_shape=(self.size, self.size, self.channels),
      options=options,
      critic='dcgan',
      critic_options=options,
    )

  def generator_layers(self) -> list[int]:
    """Operations a sample of each layer of the generator, forward."""
    project = 2 * self.latent_size * self.base**2 * self.features[0]
    sizes = [*self.features, self.channels]
    ups = [
      2 * (self.base * 2**i) ** 2 * KERNEL**2 * a * b
      for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
    ]
    return [project, *ups]

  def critic_layers(self) -> list[int]:
    """Operations a sample of each layer of the critic, forward."""
    sizes = [self.channels, *self.critic_features]
    convs = [
      2 * (self.size // 2 ** (i + 1)) ** 2 * KERNEL**2 * a * b
      for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
    ]
    return [*convs, 2 * self.base**2 * sizes[-1]]

  def critic_step(self, batch: int) -> int:
    """Operations of one critic update under a gradient penalty.

    Fakes, then scores and gradients in the parameters of reals and fakes (the
    first layer's gradient in its input is not needed); at the points of the
    penalty scores, the gradient in the input, and its derivative in the
    parameters: one pass along the gradient and one product a layer. The critic
    is linear between its kinks, so that nothing more depends on the points; of
    the last layer neither the score there nor its derivative is needed.
    """
    forward, first = sum(self.critic_layers()), self.critic_layers()[0]
    dual = 2 * (3 * forward - first)
    penalty = 4 * forward - 2 * self.critic_layers()[-1]
    return batch * (sum(self.generator_layers()) + dual + penalty)

  def generator_step(self, batch: int) -> int:
    """Operations of one generator update."""
    forward, first = sum(self.generator_layers()), self.generator_layers()[0]
    critic = sum(self.critic_layers())
    return batch * (3 * forward - first + 2 * critic)

  def step(self, batch: int, critic_steps: int) -> int:
    """Operations of one step of the game with one critic."""
    return critic_steps * self.critic_step(batch) + self.generator_step(batch)
