"""The page: as the server gives it, in parts, or as one file that holds all and needs neither server nor network."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from recon3d.atomic import atomic_file, make_parents
from recon3d.viewer.scene_data import SceneData, photo_jpeg

STATIC = Path(__file__).parent / "static"
LARGE = 32_000_000  # bytes; larger pages of one file do not open everywhere
# Spark starts its worker from a blob and its decoder (WebAssembly) from a data address; nothing else may be loaded.
SOURCES = "img-src {own}data: blob:; worker-src blob: data:; connect-src {own}data: blob:; base-uri 'none'; form-action 'none'"
POLICY = (
    f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; {SOURCES}".replace(
        "{own}", "'self' "
    )
)
POLICY_OF_ONE_FILE = (
    f"default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob: data:; style-src 'unsafe-inline'; {SOURCES}"
).replace("{own}", "")


def served_page() -> str:
    """The page whose parts lie beside it."""
    return _filled(style='<link rel="stylesheet" href="viewer.css">', script='<script src="viewer.js" defer></script>')


def single_page(scene: SceneData) -> str:
    """Style, script, splats, photos and report in one page."""
    photos = [None if path is None else photo_jpeg(path) for path in scene.photos]
    addresses = [photo and f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}" for photo in photos]
    content = scene.splats.read_bytes() if isinstance(scene.splats, Path) else scene.splats or b""
    data = "\n".join(
        [
            f'<script type="application/json" id="recon3d-scene">{as_json(asdict(scene.message))}</script>',
            f'<script type="application/json" id="recon3d-photos">{as_json(addresses)}</script>',
            f'<script type="text/plain" id="recon3d-splats">{base64.b64encode(content).decode()}</script>',
        ]
    )
    script = (STATIC / "viewer.js").read_text(encoding="utf-8").replace("</script", "<\\/script")
    return _filled(
        policy=f'<meta http-equiv="Content-Security-Policy" content="{POLICY_OF_ONE_FILE}">',
        style=f"<style>{(STATIC / 'viewer.css').read_text(encoding='utf-8')}</style>",
        data=data,
        script=f"<script>{script}</script>",
        title=scene.message.title,
    )


def write_page(path: Path, scene: SceneData) -> str | None:
    """Write a scene as one HTML file; a line of advice where it is too large for some browsers."""
    page = single_page(scene).encode("utf-8", "replace")
    make_parents(path)
    with atomic_file(path) as temporary:
        temporary.write_bytes(page)
    if len(page) <= LARGE:
        return None
    return (
        f"{path}: a page of {len(page) / 1e6:.0f} MB does not open in every browser. "
        "Export fewer splats (--max-gaussians, --prune), or send a .sog"
    )


def as_json(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _filled(*, style: str, script: str, policy: str = "", data: str = "", title: str = "") -> str:
    page = (STATIC / "page.html").read_text(encoding="utf-8")
    if title:
        page = page.replace("<title>recon3d</title>", f"<title>{escape(title)} · recon3d</title>")
    # The large parts come last, so that nothing searches through them; each mark stands once in the page itself.
    for mark, content in (("policy", policy), ("style", style), ("script", script), ("data", data)):
        before, _, after = page.partition(f"<!--{mark}-->")
        page = before + content + after
    return page
