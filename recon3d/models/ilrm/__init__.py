"""iLRM (arXiv 2507.23277): scene tokens that read images, layer by layer, into Gaussians."""
