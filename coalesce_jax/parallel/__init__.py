"""Batch shards and meshes of devices."""
