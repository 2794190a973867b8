"""What structure from motion may be set to: COLMAP's own defaults, and what replaces them where photos are few."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

MIN_MATCHES = 15  # a pair of photos with fewer verified matches does not overlap (COLMAP's min_num_matches)
UNKNOWN_LENS = "SIMPLE_RADIAL"  # COLMAP's choice for photos of unknown cameras: focal length and one distortion
DEFAULT_FOCAL = 1.2  # of the longest side: COLMAP's guess (default_focal_length_factor)
ENOUGH = 0.9  # of the views registered: no further settings are tried


@dataclass(frozen=True)
class Matching:
    """Features and matches. Names and defaults are COLMAP's (FeatureExtractionOptions, FeatureMatchingOptions)."""

    affine_shape: bool = False
    domain_size_pooling: bool = False
    peak_threshold: float = 0.02 / 3
    max_ratio: float = 0.8
    guided_matching: bool = False
    max_num_features: int = 8192  # the largest ones
    max_image_size: int = 2000  # longest side in pixels of the pictures that features are taken from; COLMAP's: 3200


@dataclass(frozen=True)
class Settings:
    """Names and defaults are COLMAP's (IncrementalMapperOptions), but for those with a remark."""

    name: str
    about: str  # what it does, for a note and the report
    matching: Matching = Matching()
    mapper: Literal["incremental", "global"] = "incremental"
    init_min_num_inliers: int = 100
    init_min_tri_angle: float = 16.0  # degrees
    abs_pose_min_num_inliers: int = 30
    filter_min_tri_angle: float = 1.5  # degrees
    two_view_tracks: bool = False  # points of two views count (the inverse of COLMAP's ignore_two_view_tracks)
    refine_distortion: bool = True
    focal_starts: tuple[float, ...] = (DEFAULT_FOCAL,)  # of the longest side, where nothing tells the focal length


DEFAULT = Settings("default", "COLMAP's defaults")

# With three to six photos most points are seen twice only: without them there is too little to register a view by
# (fountain-P11, 3 photos: 23 points and 4.8 degrees of error, with them 1308 and 0.4). One distortion more is one more
# way to explain a wrong model. And a focal length that starts too long ends in the depth-reversed solution of nearly
# parallel views (flower, 4 photos: from 1.2 wrong, from 0.5 to 1.0 right within 0.1 degrees; it is 0.83).
RELAXED = Settings(
    "relaxed",
    "points of two views count, first pair from 30 matches and 4 degrees, several focal lengths tried",
    init_min_num_inliers=30,
    init_min_tri_angle=4.0,
    abs_pose_min_num_inliers=12,
    filter_min_tri_angle=1.0,
    two_view_tracks=True,
    refine_distortion=False,
    focal_starts=(0.8, 1.2, 1.8),
)
FEW_VIEWS = replace(
    RELAXED,
    name="few views",
    about="as relaxed, with affine-shape, domain-pooled features in low contrast and guided matching",
    matching=Matching(True, True, peak_threshold=0.003, max_ratio=0.85, guided_matching=True),
)
GLOBAL = Settings("global", "COLMAP's global mapper on the same matches", mapper="global")

# Up to so many views these are tried in turn, each only where those before it did not register enough. The global mapper starts
# from all pairs at once, where no pair may have the 16 degrees of a first one (tools/benchmarks/mappers.py). In 28 runs of 13 to
# 64 photos it joined more of them than the defaults in 19 and as many in the others; of 7 to 12 it joins as many as the relaxed
# settings or more but twice, and 12 photos of street within 0.1 degrees of rotation, where these are 8 off and believed. The
# settings of few views take 5 seconds a photo and 5 a pair on one core: of 8 photos three minutes.
IN_TURN: tuple[tuple[int, tuple[Settings, ...]], ...] = (
    (6, (DEFAULT, RELAXED, GLOBAL, FEW_VIEWS)),
    (8, (DEFAULT, GLOBAL, RELAXED, FEW_VIEWS)),
    (12, (DEFAULT, GLOBAL, RELAXED)),
    (10**9, (GLOBAL, DEFAULT)),
)


def attempts(matching: Matching, views: int) -> tuple[Settings, ...]:
    """What to try for so many views, in turn, on these features and matches; FEW_VIEWS keeps its own, for every match counts."""
    those = next(settings for most, settings in IN_TURN if views <= most)
    return tuple(s if s is FEW_VIEWS else replace(s, matching=matching) for s in those)
