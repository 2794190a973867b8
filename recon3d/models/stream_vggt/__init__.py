"""StreamVGGT: VGGT's network, attending to the past only."""
