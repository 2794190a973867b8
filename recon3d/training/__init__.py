"""Training: losses that golden tensors test."""
