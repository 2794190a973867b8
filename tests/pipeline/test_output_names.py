"""Names of pictures that a run and `render` write: below their folder whatever a file of cameras calls them, and each once."""

from pathlib import PurePosixPath, PureWindowsPath

import pytest

from recon3d.pipeline.outputs import output_names

HOSTILE = (
    "../../photos/a.jpg", "/etc/a.jpg", "a/../../../b.jpg", "..", ".", "/", "..\\..\\c.jpg", "C:\\photos\\d.jpg", "C:d.jpg",
    "C:/d.jpg", "\\\\server\\share\\e.jpg", "x/C:/f.jpg", ".. /g.jpg", ".../h.jpg", "a/..", "../photos.png",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_elsewhere_stays_below_the_folder_on_every_system(name):
    (given,) = output_names((name,))
    for path in (PurePosixPath(given), PureWindowsPath(given)):
        assert path.parts and ".." not in path.parts and not path.is_absolute() and not path.anchor
        assert not any(part.endswith((" ", ".")) for part in path.parts)
    assert given.endswith((".jpg", ".png"))


def test_plain_names_stay():
    plain = ("a.jpg", "b/c.PNG", "2026-01-01 10:20:30.jpeg", "..a.jpg")
    assert output_names(plain) == plain
    assert output_names(("d.tif",)) == ("d.tif.jpg",)


def test_names_that_would_share_a_file_are_told_apart():
    """a.jpg, a.png and A.JPG would share renders/a.png (the last on Windows and macOS); ../a.jpg is a.jpg once it stays."""
    given = output_names(("a.jpg", "a.png", "A.JPG", "../a.jpg", "/a.jpg", "..\\a.jpg", "a_jpg.jpg"))
    assert given[:2] == ("a.jpg", "a_png.png")
    assert len({str(PurePosixPath(name).with_suffix("")).lower() for name in given}) == len(given)
