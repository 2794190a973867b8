"""A scene that grows while a run goes on: cameras first, then splats again and again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import Lens
from recon3d.core.splats import Splats
from recon3d.progress import Event
from recon3d.viewer.messages import VersionMessage
from recon3d.viewer.scene_data import SceneData, scene_data

if TYPE_CHECKING:
    from recon3d.pipeline.method import Located


class Live:
    """What `Server` shows of a run. The run's thread calls the show methods; the server's threads read."""

    def __init__(self, title: str) -> None:
        self._lock = threading.Lock()
        self._title = title
        self._cameras: tuple[Sequence[KnownCamera], Sequence[Path | None]] = ((), ())
        self._data = scene_data(title, None, live=True)
        self._running, self._text = True, ""

    def scene(self) -> SceneData:
        with self._lock:
            return self._data

    def version(self) -> VersionMessage:
        with self._lock:
            message = self._data.message
            splats = message.splats.version if message.splats else 0
            return VersionMessage(message.version, splats, self._running, self._text)

    def listen(self, event: Event) -> None:
        """Show what the progress of a run tells."""
        if event.kind == "stage" and not event.done:
            self.show_text(event.text)
        elif event.kind == "advance" and event.total:
            self.show_text(f"{event.text} {event.done:.0f} of {event.total:.0f}")
        elif event.kind == "snapshot":
            from recon3d.pipeline.method import Located  # it loads torch, which a run has loaded by now

            if isinstance(event.payload, Located):
                self.show_cameras(*located(event.payload))
            else:
                self.show_splats(event.payload.gaussians.splats())

    def show_text(self, text: str) -> None:
        """What the run is doing, in a few words."""
        with self._lock:
            self._text = text

    def show_cameras(self, cameras: Sequence[KnownCamera], photos: Sequence[Path | None] = ()) -> None:
        """The cameras as found, and where the picture of each lies."""
        self._cameras = (cameras, photos)
        self._put(scene_data(self._title, None, cameras, photos, live=True), new_scene=True)

    def show_splats(self, splats: Splats) -> None:
        """The splats as they are now."""
        first = self._data.message.splats is None  # the frame and the cameras' depths are better known with splats
        self._put(scene_data(self._title, splats, *self._cameras, live=True), new_scene=first)

    def show_finished(self, data: SceneData | None) -> None:
        """The scene as it was written, with photos and report (None: as it stands); the page stops asking."""
        if data is not None:
            self._put(replace(data, message=replace(data.message, live=True)), new_scene=True)
        with self._lock:
            self._running, self._text = False, ""

    def _put(self, data: SceneData, new_scene: bool) -> None:
        with self._lock:
            before = self._data.message
            version = before.version + new_scene
            splats = data.message.splats
            if splats is not None:
                splats = replace(splats, version=(before.splats.version if before.splats else 0) + 1)
            self._data = replace(data, message=replace(data.message, version=version, splats=splats))


def located(found: Located) -> tuple[list[KnownCamera], list[Path | None]]:
    """The cameras that a run has found, as pinholes of its working pictures, and the photo of each, where it is a file."""
    views, cameras = found.views, found.geometry.cameras
    known = [
        KnownCamera(
            name=name,
            lens=Lens.pinhole(cameras.K[i].numpy(), *cameras.size(i)),
            camera_from_world=cameras.camera_from_world[i].numpy(),
            held_out=bool(views.held_out[i]),
        )
        for i, name in enumerate(views.names)
    ]
    files = [source.frame is None and source.pixels is None for source in views.sources]
    return known, [source.path if is_file else None for source, is_file in zip(views.sources, files, strict=True)]
