"""Truth, render and error of the views that came out worst, as pictures inside of the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from recon3d.evaluation.records import Pictures, Record

MOST = 24  # triplets of a page
WIDEST = 320  # pixels
QUALITY = 82  # of JPEG


def worst(records: Iterable[Record]) -> list[tuple[Record, Pictures]]:
    """The worst view of each record, worst first: one broken scene alone does not fill the page. Without a PSNR: last."""
    found = [(record, min(record.pictures, key=_psnr)) for record in records if record.pictures]
    found.sort(key=lambda pair: (_psnr(pair[1]), pair[0].scene, pair[0].method, pair[0].views))
    return found[:MOST]


def _psnr(pictures: Pictures) -> float:
    return math.inf if pictures.psnr is None else pictures.psnr


def triplets(found: Sequence[tuple[Record, Pictures]], folder: Path) -> str:
    """HTML of them; paths are of files in the folder, and of no others."""
    return f'<div class="triplets">{"".join(_figure(record, pictures, folder) for record, pictures in found)}</div>'


def _figure(record: Record, pictures: Pictures, folder: Path) -> str:
    psnr = "" if pictures.psnr is None else f"<b>{pictures.psnr:.2f} dB</b> · "
    what = f"{record.method}, {record.views} views · {record.scene} / {pictures.view}"
    three = (("truth", pictures.truth), ("render", pictures.render), ("error", pictures.error))
    shown = "".join(_image(folder, path, f"{kind}: {what}") for kind, path in three)
    return (
        f'<figure class="card"><figcaption>{psnr}{escape(what)}</figcaption><div class="three">{shown}</div></figure>'
    )


def _image(folder: Path, path: str, alt: str) -> str:
    try:
        data = small_jpeg(folder, path)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        return f'<div class="absent">{escape(path)} cannot be shown: {escape(str(error)[:80])}</div>'
    return f'<img alt="{escape(alt)}" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'


def small_jpeg(folder: Path, path: str) -> bytes:
    """The picture as a JPEG of at most WIDEST pixels of width. Raises ValueError where a record points out of the folder."""
    file = (folder / path).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ValueError("it lies outside of the evaluation's folder")
    with Image.open(file) as image:
        small = image.convert("RGB")
    if small.width > WIDEST:
        small = small.resize((WIDEST, max(1, round(small.height * WIDEST / small.width))), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    small.save(held, "JPEG", quality=QUALITY)
    return held.getvalue()
