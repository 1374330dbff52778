"""The flags of every subcommand. Nothing here needs JAX."""
