"""How well views that gave no pixel are predicted."""

from __future__ import annotations

from typing import Any

from recon3d.core.scene import Scene
from recon3d.metrics.image import psnr, ssim
from recon3d.rendering.render import render


def measure(scene: Scene, device: str = "cpu") -> dict[str, Any]:
    """{"views": {NAME: {"psnr", "ssim"}}, "mean": {"psnr", "ssim"}} of the held-out views at working size.

    PSNR in dB over the pixels that a mask allows, of pictures clamped to 0 to 1, as they are written.
    """
    assert scene.views is not None and scene.geometry is not None
    found = {}
    for i in scene.views.held_out.nonzero()[:, 0].tolist():
        picture = render(scene.gaussians, scene.geometry.cameras[[i]], device=device).rgb[0].cpu().clamp(0, 1)
        photo, mask = scene.views.rgb(i), scene.views.mask(i)
        if mask is not None and not mask.any():
            continue
        found[scene.views.names[i]] = {
            "psnr": round(psnr(picture, photo, mask), 3),
            "ssim": round(float(ssim(picture, photo, mask)), 4),
        }
    if not found:
        return {"views": {}, "mean": {"psnr": None, "ssim": None}}
    mean = {key: round(sum(view[key] for view in found.values()) / len(found), 4) for key in ("psnr", "ssim")}
    return {"views": found, "mean": mean}
