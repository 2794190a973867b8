"""What structure from motion may be set to: COLMAP's own defaults, and those for few photos far apart."""

from __future__ import annotations

from dataclasses import dataclass

FEATURE_SIZE = 2000  # longest side in pixels of the pictures that features are taken from
MIN_MATCHES = 15  # a pair of photos with fewer verified matches does not overlap (COLMAP's min_num_matches)
UNKNOWN_LENS = "SIMPLE_RADIAL"  # COLMAP's choice for photos of unknown cameras: focal length and one distortion
DEFAULT_FOCAL = 1.2  # of the longest side: COLMAP's guess (default_focal_length_factor)


@dataclass(frozen=True)
class Settings:
    """Names and defaults are COLMAP's (FeatureExtractionOptions, FeatureMatchingOptions, IncrementalMapperOptions)."""

    name: str
    affine_shape: bool = False
    domain_size_pooling: bool = False
    peak_threshold: float = 0.02 / 3
    max_ratio: float = 0.8
    guided_matching: bool = False
    init_min_num_inliers: int = 100
    init_min_tri_angle: float = 16.0  # degrees
    abs_pose_min_num_inliers: int = 30
    filter_min_tri_angle: float = 1.5  # degrees


DEFAULT = Settings("default")
FEW_VIEWS = Settings(
    "few views",
    affine_shape=True,
    domain_size_pooling=True,
    peak_threshold=0.003,
    max_ratio=0.85,
    guided_matching=True,
    init_min_num_inliers=30,
    init_min_tri_angle=4.0,
    abs_pose_min_num_inliers=12,
    filter_min_tri_angle=1.0,
)
