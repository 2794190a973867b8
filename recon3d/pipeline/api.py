"""The Python API behind `import recon3d`: the command's words as functions. They print nothing and set nothing global."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recon3d.atomic import atomic_file, atomic_folder, make_parents, refuse_existing
from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.scene import Rendering, Scene
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io import load
from recon3d.io.detect import detect
from recon3d.io.splat_files import format_to_write, read_splats
from recon3d.pipeline import outputs
from recon3d.pipeline.export import Coding, holds_origin, write
from recon3d.pipeline.locate import locate as located
from recon3d.pipeline.reconstruct import reconstruct as carry_out
from recon3d.pipeline.request import Request
from recon3d.progress import Progress
from recon3d.rendering import render as rendering
from recon3d.sfm.locating import Located
from recon3d.sfm.registration import assembled, mapping_of_model

Paths = str | Path | Sequence[str | Path]


def paths_of(inputs: Paths) -> tuple[Path, ...]:
    return (Path(inputs),) if isinstance(inputs, (str, Path)) else tuple(Path(path) for path in inputs)


def load_views(inputs: Paths, max_size: int = 512, max_images: int = 200) -> Views:
    """The photos of anything that `recon3d run` reads, upright, at most `max_size` pixels long. Raises InputError."""
    found = detect(paths_of(inputs))
    return load.load_views(found, max_size=max_size, max_images=max_images, progress=Progress()).views


def reconstruct(inputs: Paths, *, progress: Progress | None = None, **words: Any) -> Scene:
    """A scene of photos, a video or a posed folder; `words` are the flags of `recon3d run` with underscores.

    `exposure` may be True or False. Raises InputError where the input cannot be reconstructed, TypeError for a word that
    there is not.
    """
    for name in ("cameras", "masks"):
        if words.get(name) is not None:
            words[name] = Path(words[name])
    if isinstance(words.get("refine_cameras"), bool):
        words["refine_cameras"] = "on" if words["refine_cameras"] else "off"
    for name in ("refine", "holdout"):
        if words.get(name) is not None:
            words[name] = str(words[name])
    if isinstance(words.get("exposure"), bool):
        words["exposure"] = "on" if words["exposure"] else "off"
    return carry_out(Request(**words), detect(paths_of(inputs)), progress or Progress()).scene


def load_scene(path: str | Path, max_size: int = 512) -> Scene:
    """A splat file (splats only), or the folder of a run (splats, cameras, points, photos). Raises InputError."""
    path = Path(path)
    if not path.is_dir():
        return Scene.of(read_splats(path).splats)
    found = detect((path,))
    if found.kind != "run":
        raise InputError(path, "it is not the folder of a run", "Give a splat file or a folder that `recon3d run` made")
    splats = read_splats(path / "scene.ply").splats
    loaded = load.load_views(found, max_size=max_size, repeated=True, progress=Progress()).about(splats.origin)
    if loaded.points is None:
        raise InputError(path / "sparse", "the COLMAP model of the run is missing", "Make the run again")
    views, geometry = assembled(loaded.views, mapping_of_model(loaded.points, loaded.views), max_size, "colmap")
    return replace(Scene.of(splats), geometry=geometry, views=views)


def locate(scene: str | Path, photos: Paths, seed: int | None = None) -> tuple[Located, ...]:
    """Where further photos were taken, in the world of the run folder `scene`; one that is not located says why in `refused`.

    With a seed the answer repeats. Raises InputError where the scene is no folder of a run, or no photo is located.
    """
    return located(Path(scene), paths_of(photos), seed, Progress()).photos


def render(scene: Scene | Gaussians, cameras: Cameras, device: str = "auto") -> Rendering:
    """What cameras of one size see; gradients flow into the tensors that ask for them. ValueError where sizes differ: see
    `render_each`.
    """
    return rendering.render(scene.gaussians if isinstance(scene, Scene) else scene, cameras, device=device)


def render_each(scene: Scene | Gaussians, cameras: Cameras, device: str = "auto") -> list[Rendering]:
    """What each camera sees, one view a rendering: of photos in several shapes. All of them are held at once."""
    return rendering.render_each(scene.gaussians if isinstance(scene, Scene) else scene, cameras, device=device)


def save(scene: Scene, path: str | Path, overwrite: bool = False) -> None:
    """A file of the splats by its suffix, or a folder with photos, cameras, splats and renders. Raises InputError, also for
    a `.splat` of a scene far from zero, which cannot say where that is.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    if path.suffix:
        kind = format_to_write(path)
        if any(scene.origin) and not holds_origin(kind, Coding()):
            raise InputError(path, "it has no place for the scene's origin", "Write another format, or set the origin to 0")
        make_parents(path)
        with atomic_file(path) as temporary:
            write(temporary, kind, scene.splats(), Coding(), None)
        return
    if scene.views is None or scene.geometry is None:
        raise InputError(
            path, "a scene of splats alone has no photos or cameras for a folder", "Give a name ending in .ply"
        )
    make_parents(path)
    with atomic_folder(path, overwrite) as folder:
        outputs.write_folder(scene, folder, "auto", Progress())
