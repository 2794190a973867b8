"""Numbers that every backend shares: 3DGS (Kerbl et al. 2023, section 6 and appendix C) as gsplat's classic mode has them."""

ALPHA_MIN = 1 / 255  # a fainter contribution is skipped
ALPHA_MAX = 0.999  # gsplat 1.5.3; its main branch has 0.99: cuda.py probes it, nobody reads versions
TRANSMITTANCE_MIN = 1e-4  # a pixel stops before the Gaussian that would take it to or below this
EPS2D = 0.3  # pixels^2 added to the projected covariance: no splat is thinner than a pixel
EXTENT = 3.33  # standard deviations after which a Gaussian is cut (its bounding box)
NEAR, FAR = 0.01, 1e10  # z-depths that are kept, in world units
MARGIN = 0.15  # the Jacobian is taken at most this share of the picture outside of it
TILE = 16  # pixels: a Gaussian reaches whole tiles of its bounding box, nothing else
ALPHA_KNOWN = 1e-4  # the expected depth is 0 where alpha is below this
