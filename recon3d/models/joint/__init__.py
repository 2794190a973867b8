"""Known cameras and depth to Gaussians, by our own joint of ZPressor and iLRM."""
