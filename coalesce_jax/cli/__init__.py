"""The `coalesce` command."""
