"""Generators as programs for devices: ONNX and StableHLO."""
