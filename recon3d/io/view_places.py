"""Where views were taken: by the EXIF of their photos, or by the GPS track of the video whose frames they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recon3d.core.views import Views
from recon3d.io.gps import Place, place_of
from recon3d.io.gps_track import frame_places


@dataclass(frozen=True)
class ViewPlaces:
    """The views whose place is known, and where that is from."""

    places: Mapping[int, Place]  # by view
    what: str  # the views are: photos or frames
    where: str  # places would stand, or why there are none
    source: str  # of the places, in the words of a report
    one_receiver: bool  # told them all while it moved, so that their errors go together
    note: str | None = None  # for the user


def places_of(views: Views) -> ViewPlaces:
    """What EXIF tells of photos and the container of frames. Raises InputError where a photo or a video is none any more."""
    frames = [i for i, source in enumerate(views.sources) if source.frame is not None]
    if not frames:
        found = {i: place_of(source.path) for i, source in enumerate(views.sources) if source.pixels is None}
        known = {i: place for i, place in found.items() if place is not None}
        return ViewPlaces(known, "photos", "in their EXIF", "photos", one_receiver=False)
    told = frame_places(views.sources[frames[0]].path, [views.sources[i].frame for i in frames])
    known = {i: place for i, place in zip(frames, told.places, strict=True) if place is not None}
    return ViewPlaces(known, "frames", told.why, f"frames ({told.kind})", one_receiver=True, note=told.note)
