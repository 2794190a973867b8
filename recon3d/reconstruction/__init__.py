"""Steps between geometry and a finished scene: known cameras, world frame, pruning, refinement."""
