"""The built page is of its sources, carries its licences, and its types are those of Python."""

import hashlib
import json
import re

from recon3d.viewer.page import STATIC
from tests.house.sources import PACKAGE
from tools.make_viewer_types import TARGET, typescript

WEB = PACKAGE / "viewer" / "web"


def test_the_bundle_carries_the_hash_of_its_sources():
    """As vite.config.ts computes it; after a change: npm ci && npm run build in recon3d/viewer/web."""
    names = ["package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"]
    for folder in ("public", "src"):
        names += [file.relative_to(WEB).as_posix() for file in (WEB / folder).rglob("*") if file.is_file()]
    found = hashlib.sha256()
    for name in sorted(names):
        found.update(f"{name}\n".encode() + (WEB / name).read_bytes())
    head = (STATIC / "viewer.js").read_text(encoding="utf-8")[:200]
    assert f"sources sha256 {found.hexdigest()}" in head


def test_the_types_of_the_page_are_those_of_the_messages():
    assert TARGET.read_text(encoding="utf-8") == typescript()


def test_the_licences_of_what_is_bundled_travel_with_it():
    head = (STATIC / "viewer.js").read_text(encoding="utf-8")[:8000].partition("*/")[0]
    for name in ("three.js authors", "@sparkjsdev/spark", "fflate"):
        assert name in head
    assert head.count("Permission is hereby granted") == 3


def test_the_lock_file_has_hashes_and_no_download_addresses():
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert all("resolved" not in package for package in packages.values())
    assert all("integrity" in package for name, package in packages.items() if name)


def test_the_bundle_is_about_three_megabytes():
    assert sum(file.stat().st_size for file in STATIC.iterdir()) < 3.5e6


def test_the_sources_are_files_of_at_most_400_lines_in_which_no_network_address_is_fetched():
    for file in (WEB / "src").iterdir():
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, file.name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file.name
