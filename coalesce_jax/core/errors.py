"""How a run ends early without a fault of this program."""


class Interrupted(Exception):
  """The run was asked to stop. Its state is saved.

  Attributes:
    number: the signal that asked; None is another way of asking.
  """

  number: int | None = None


class Diverged(RuntimeError):
  """Parameters became NaN or infinite again after the last rollback."""


class Failed(Exception):
  """Another process that was started for a run did not do its part."""
