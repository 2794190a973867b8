"""What no camera in a file can exceed, whatever the format: beyond, numbers overflow or mean nothing."""

MAX_SIDE = 1 << 20  # pixels; no picture is wider, and products of sides stay far from overflow
FOCAL_LENGTHS = (1e-3, 1e9)  # pixels; outside of these nothing can be computed, whatever the picture's size
