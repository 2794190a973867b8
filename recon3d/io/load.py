"""An input as `Views`: photos or frames at working size, with their masks and with what is known of their cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.known_camera import KnownCamera
from recon3d.core.origin import moved_pose
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.as_taken import cameras_for
from recon3d.io.cameras_json import read_cameras, read_origin
from recon3d.io.colmap_model import ColmapModel, read_model
from recon3d.io.detect import Found
from recon3d.io.duplicates import duplicates
from recon3d.io.exif import Exif
from recon3d.io.given_cameras import matched, not_matched
from recon3d.io.incoming import Photo, check_video, curved, spread, with_masks
from recon3d.io.photos import Header, Source, read_header
from recon3d.io.transforms_json import read_transforms
from recon3d.io.video import choose_frames
from recon3d.io.working_pictures import read_all, views_of
from recon3d.progress import Progress

LISTED_ONLY = ("colmap", "transforms", "run")  # inputs that say themselves which photos belong to them


@dataclass(frozen=True)
class Loaded:
    views: Views  # as taken: not undistorted
    left_out: tuple[tuple[str, str], ...]  # (name, reason), in the order of names
    sequence: bool  # frames of a video: neighbours overlap
    points: ColmapModel | None  # of an input that is a finished model, its cameras named like the views
    unmatched_cameras: tuple[str, ...]  # given cameras without a photo
    in_metres: bool  # the poses that were given are in metres
    depth: Path | None = None  # of an input that is a run's folder with depth: where it lies, a file for each picture
    run: Path | None = None  # of an input that is a finished run: its folder
    exif: tuple[Exif, ...] = ()  # what each photo of the views says about itself
    without_camera: tuple[str, ...] = ()  # photos that no given camera belongs to, where cameras are given

    def about(self, origin: Annotated[np.ndarray, "3"]) -> Loaded:
        """The same in a frame at `origin` of the world that given poses and points stand in."""
        poses = self.views.known_camera_from_world
        if poses is None:
            return self
        local = replace(self.views, known_camera_from_world=torch.from_numpy(moved_pose(poses.numpy(), -origin)))
        return replace(self, views=local, points=self.points and self.points.moved(-origin))


def load_views(
    found: Found, *, max_size: int = 512, max_images: int = 200, fps: float | None = None, masks: Path | None = None,
    invert_masks: bool = False, cameras: Path | None = None, repeated: bool = False, progress: Progress | None = None,
) -> Loaded:  # fmt: skip
    """Read an input that `detect` found: at most `max_images` pictures, evenly spread, longest side at most `max_size`.

    Known cameras are those of the input, or of `cameras` where both name a photo. Photos that cannot be read are left out
    with a reason, and so are panoramas, fisheyes without a known lens, and pictures that are there already under another
    name; InputError where none is left, where all of `cameras` belong to other photos, and where a mask has another shape
    or a camera another size than its photo. `repeated`: what is there twice stays, as of a data set whose frames are given.
    """
    progress = progress or Progress()
    _check_options(found, max_images, fps)
    if found.passed_over:
        folders = ", ".join(str(folder) for folder in found.passed_over)
        progress.note(f"{folders}: passed over, since a run wrote what is there: its pictures are no photos")
    listed, model = _cameras_of(found, progress)
    left_out: dict[str, str] = {}
    errors: list[InputError] = []
    if found.kind == "video":
        photos = _frames(found.root, max_images, fps, progress)
    else:
        photos = _with_headers(found, listed, left_out, errors)
    there = {found.name(picture) for picture in found.pictures}
    unmatched = [name for name in listed if name not in there]  # photos' names where they have one, else the file's
    if cameras is not None:
        photos, unmatched = _with_given(photos, found, cameras, progress)
    photos = spread(photos, max_images, found, progress)
    photos = [_fitted(photo, found.kind in ("colmap", "run"), cameras or found.cameras) for photo in photos]
    _note_as_stored(photos, progress)
    _note_profiles(photos, progress)
    if found.kind == "video":
        check_video(photos)
    photos = _flat(photos, found, left_out, errors)
    photos = with_masks(photos, found, masks, invert_masks, progress)
    kept, images, usable = read_all(photos, max_size, found, left_out, errors, progress)
    if not kept:
        raise _none_readable(found, errors)
    if not repeated:
        kept, images, usable = _once(kept, images, usable, left_out, progress)
    for error in errors:
        progress.note(f"{error.where}: {error.what}. Left out. {error.remedy}.")
    views = views_of(kept, images, usable)
    without = tuple(photo.name for photo in kept if photo.known is None) if any(p.known for p in kept) else ()
    told = None if found.kind in LISTED_ONLY and cameras is None else not_matched(unmatched, without, len(kept))
    if told is not None:
        progress.note(f"{cameras or found.cameras}: {told}")
    return Loaded(
        views, tuple(sorted(left_out.items())), found.kind == "video", _renamed(model, listed), tuple(unmatched),
        all(camera.in_metres for camera in _posed(kept)) and bool(_posed(kept)),
        exif=tuple(photo.header.exif for photo in kept), without_camera=without, depth=found.depth,
        run=found.run,
    )  # fmt: skip


def known_photos(found: Found) -> tuple[tuple[Photo, ...], dict[str, str]]:
    """The photos of an input that brings cameras, and by name why the others that it lists cannot be read.

    Photos without a camera are passed over. Raises InputError where none can be read.
    """
    listed, _ = _cameras_of(found, Progress())
    unreadable: dict[str, str] = {}
    photos = _with_headers(found, listed, unreadable, [])
    names = {found.name(path) for path in found.pictures}
    unreadable |= {name: "there is no such photo" for name in listed if name not in names}
    ignores_tags = found.kind in ("colmap", "run")
    fitted = tuple(_fitted(photo, ignores_tags, found.cameras) for photo in photos if photo.known is not None)
    return fitted, {name: reason for name, reason in unreadable.items() if name in listed}


def _posed(photos: list[Photo]) -> list[KnownCamera]:
    return [p.known for p in photos if p.known is not None and p.known.camera_from_world is not None]


def _check_options(found: Found, max_images: int, fps: float | None) -> None:
    if max_images < 1:
        raise InputError("--max-images", f"{max_images} is no number of images", "Give 2 or more")
    if fps is not None and not 0 < fps < float("inf"):
        raise InputError("--fps", f"{fps:g} is no number of frames for a second", "Give a number above 0")
    if fps is not None and found.kind != "video":
        raise InputError("--fps", f"{found.root} is no video", "Leave --fps out")


def _cameras_of(found: Found, progress: Progress) -> tuple[dict[str, KnownCamera], ColmapModel | None]:
    """Name of a photo of the input -> its camera, and the model where the input is one.

    Cameras without a photo are there under their own names.
    """
    if found.cameras is None:
        return {}, None
    names = [found.name(picture) for picture in found.pictures]
    model = None
    if found.kind == "transforms":
        listed = read_transforms(found.cameras)
        there = set(found.pictures)
        return {found.name(c.image) if c.image in there else c.name: c for c in listed if c.image is not None}, None
    if found.kind == "cameras":
        listed, by_photo = cameras_for({found.name(p): p for p in found.pictures}, found.cameras, progress.note)
    else:
        model = read_model(found.cameras)
        if found.kind == "run":  # of --origin local the model does not say where it stands, and cameras.json does
            model = model.moved(read_origin(found.root.parent / "cameras.json"))
        listed = model.cameras
        by_photo = matched(listed, names)
    if found.kind == "run":
        written = {c.name: c for c in read_cameras(found.root.parent / "cameras.json")}
        by_photo = {
            name: replace(c, held_out=written[name].held_out, in_metres=written[name].in_metres) if name in written else c
            for name, c in by_photo.items()
        }
    if not by_photo:
        raise _no_match(found.cameras, listed, names)
    used = {camera.name for camera in by_photo.values()}
    return by_photo | {c.name: c for c in listed if c.name not in used}, model


def _no_match(where: Path, cameras: Sequence[KnownCamera], names: Sequence[str]) -> InputError:
    what = f"none of its {len(cameras)} cameras belongs to a photo: it names {cameras[0].name}, the photos {names[0]}"
    return InputError(where, what if cameras else "no cameras in it", "Give the cameras of these photos: names must match")


def _with_headers(
    found: Found, listed: dict[str, KnownCamera], left_out: dict[str, str], errors: list[InputError]
) -> list[Photo]:
    """The photos whose headers can be read. What is left out, and why, goes into `left_out` and `errors`."""
    photos = []
    for path in found.pictures:
        name = found.name(path)
        if found.kind in LISTED_ONLY and name not in listed:
            left_out[name] = f"{found.cameras} has no camera for it"
            continue
        try:
            name.encode()
            photos.append(Photo(name, Source(path), read_header(path), listed.get(name)))
        except UnicodeEncodeError:
            errors.append(InputError(ascii(name), "its name is not UTF-8", "Rename it"))
            left_out[ascii(name)] = errors[-1].what
        except InputError as error:
            errors.append(error)
            left_out[name] = error.what
    if found.kind in LISTED_ONLY:
        names = {found.name(path) for path in found.pictures}
        left_out |= {name: "there is no such photo" for name in listed if name not in names}
    if not photos:
        raise _none_readable(found, errors)
    return photos


def _none_readable(found: Found, errors: list[InputError]) -> InputError:
    if len(found.pictures) == 1 and errors:
        return errors[0]
    first = f"; the first, {Path(errors[0].where).name}: {errors[0].what}" if errors else ""
    what = f"none of its {len(found.pictures)} images can be used{first}"
    return InputError(found.root, what, errors[0].remedy if errors else "Give photos that open in an image viewer")


def _frames(path: Path, max_images: int, fps: float | None, progress: Progress) -> list[Photo]:
    """The chosen frames of a video, named by their numbers."""
    clip = choose_frames(path, max_images, fps, lambda done, total: progress.advance(done, total, "frames"))
    if clip.hdr is not None:
        progress.note(f"{path}: an HDR video ({clip.hdr}); its frames are brought to SDR, and highlights lose detail")
    digits = max(5, len(str(clip.total)))
    header = Header(clip.size, clip.size, Exif())
    return [Photo(f"frame_{f.index:0{digits}d}.png", Source(path, f), header, None) for f in clip.frames]


def _with_given(photos: list[Photo], found: Found, path: Path, progress: Progress) -> tuple[list[Photo], list[str]]:
    """The photos with the cameras of --cameras, and the names of those that have no photo, left out or not."""
    given, by_photo = cameras_for({photo.name: photo.source.path for photo in photos}, path, progress.note)
    if not by_photo:
        raise _no_match(path, given, [photo.name for photo in photos])
    used = {camera.name for camera in by_photo.values()}
    left_out = {found.name(picture) for picture in found.pictures} - {photo.name for photo in photos}
    used |= {camera.name for camera in matched([c for c in given if c.name not in used], sorted(left_out)).values()}
    photos = [replace(photo, known=by_photo.get(photo.name, photo.known)) for photo in photos]
    return photos, [camera.name for camera in given if camera.name not in used]


def _fitted(photo: Photo, ignores_tags: bool, cameras: Path | None) -> Photo:
    """The photo as its given lens saw it: upright, or as stored where the lens was found without the orientation tag.

    COLMAP ignores the tag, so a lens of `ignores_tags` is tried for the stored pixels first.
    """
    if photo.known is not None:
        photo = replace(photo, known=photo.known.sized(*photo.header.size))
    lens = None if photo.known is None else photo.known.lens
    if lens is None:
        return photo
    header, size = photo.header, (lens.height, lens.width)
    if size == header.size and (not ignores_tags or size != header.stored_size or header.exif.orientation == 1):
        return photo
    if size == header.stored_size:
        return replace(photo, source=replace(photo.source, as_stored=True))
    height, width = header.size
    what = f"its camera of {photo.name} is for {lens.width}x{lens.height} pixels, but the photo has {width}x{height}"
    raise InputError(cameras or photo.source.path, what, "Give the cameras of these photos at this size")


def _note_as_stored(photos: list[Photo], progress: Progress) -> None:
    turned = [photo.name for photo in photos if photo.source.as_stored]
    if turned:
        what = "are used as stored: their cameras were found without the orientation tags"
        progress.note(f"{len(turned)} photos ({turned[0]} first) {what}")


def _note_profiles(photos: list[Photo], progress: Progress) -> None:
    bad = [photo for photo in photos if photo.header.unusable_profile is not None]
    if bad:
        others = f" and of {len(bad) - 1} other photos" if len(bad) > 1 else ""
        reason = f"its colour profile cannot be used ({bad[0].header.unusable_profile})"
        progress.note(f"{bad[0].source.path}: {reason}; its colours{others} are taken as sRGB")


def _flat(photos: list[Photo], found: Found, left_out: dict[str, str], errors: list[InputError]) -> list[Photo]:
    """The photos that a flat lens took, as far as headers say."""
    kept = []
    for photo in photos:
        refusal = curved(photo)
        if refusal is None:
            kept.append(photo)
        else:
            errors.append(refusal)
            left_out[photo.name] = refusal.what
    if not kept:
        raise _none_readable(found, errors)
    return kept


def _once(
    photos: list[Photo], images: list[Tensor], masks: list[Tensor | None], left_out: dict[str, str], progress: Progress
) -> tuple[list[Photo], list[Tensor], list[Tensor | None]]:
    """Each picture once."""
    again = duplicates(photos, images)
    if again:
        first, same = next(iter(again.items()))
        source = photos[first].source
        where = source.path if source.frame is None else f"{source.path}, {photos[first].name}"
        what = f"{where}: the same picture as {photos[same].name}"
        others = f", and so are {len(again) - 1} more that are there twice" if len(again) > 1 else ""
        progress.note(f"{what}. Left out{others}")
        left_out |= {photos[i].name: f"the same picture as {photos[j].name}" for i, j in again.items()}
    stay = [i for i in range(len(photos)) if i not in again]
    return [photos[i] for i in stay], [images[i] for i in stay], [masks[i] for i in stay]


def _renamed(model: ColmapModel | None, by_photo: dict[str, KnownCamera]) -> ColmapModel | None:
    """The model with its cameras named like the photos."""
    if model is None:
        return None
    names = {camera.name: photo for photo, camera in by_photo.items()}
    return replace(model, cameras=tuple(replace(c, name=names[c.name]) for c in model.cameras))
