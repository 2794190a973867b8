"""Flags that were switches once still stand alone."""

from dataclasses import dataclass

from recon3d.cli.options import parse
from recon3d.pipeline.request import Request


@dataclass(frozen=True)
class Options:
    request: Request


def test_refine_cameras_alone_means_on():
    def words(*arguments: str) -> str:
        return parse(Options, "run", list(arguments), "").request.refine_cameras

    assert words() == "auto"
    assert words("--refine-cameras") == "on" and words("--refine-cameras", "--device", "cpu") == "on"
    assert [words("--refine-cameras", word) for word in ("on", "off", "auto")] == ["on", "off", "auto"]
