"""Training: losses that golden tensors prove."""
