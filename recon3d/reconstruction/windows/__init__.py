"""Long inputs: overlapping windows of views, each a pass of a network, joined by the views that they share."""
