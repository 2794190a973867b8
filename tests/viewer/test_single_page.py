"""One file holds the whole page."""

import base64
import json
import re
from dataclasses import asdict, replace

from recon3d.viewer import page
from recon3d.viewer.scene_data import open_scene
from tests.viewer.small_scene import run_folder


def element(text: str, name: str) -> str:
    match = re.search(rf'<script type="[a-z/]+" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert match
    return match[1]


def test_the_page_holds_scene_splats_photos_style_and_script(tmp_path):
    data, _ = open_scene(run_folder(tmp_path / "out"))
    text = page.single_page(data)
    assert json.loads(element(text, "recon3d-scene")) == json.loads(json.dumps(asdict(data.message)))
    assert base64.b64decode(element(text, "recon3d-splats")) == (tmp_path / "out" / "scene.ply").read_bytes()
    photos = json.loads(element(text, "recon3d-photos"))
    assert len(photos) == 3 and all(photo.startswith("data:image/jpeg;base64,") for photo in photos)
    assert "<!--" not in text.partition("<script>")[0]
    assert not re.search(r'<(?:script|link|img)[^>]+(?:src|href)="(?!data:)', text.partition("<script>")[0])


def test_nothing_that_a_scene_says_ends_its_element(tmp_path):
    data, _ = open_scene(run_folder(tmp_path / "out"))
    evil = '</script><script>alert(1)</script><!--script--> " & \udcff \u2028'
    cameras = (replace(data.message.cameras[0], name=evil), *data.message.cameras[1:])
    data = replace(data, message=replace(data.message, title=evil, cameras=cameras))
    page.write_page(tmp_path / "scene.html", data)
    text = (tmp_path / "scene.html").read_text(encoding="utf-8")
    scene = json.loads(element(text, "recon3d-scene"))
    assert scene["title"] == scene["cameras"][0]["name"] == evil
    assert "<script>alert" not in text


def test_a_large_page_gets_one_line_of_advice(tmp_path, monkeypatch):
    data, _ = open_scene(run_folder(tmp_path / "out"))
    assert page.write_page(tmp_path / "scene.html", data) is None
    monkeypatch.setattr(page, "LARGE", 1_000_000)
    advice = page.write_page(tmp_path / "scene.html", data)
    assert advice and "\n" not in advice and "scene.html" in advice


def test_the_same_scene_gives_the_same_bytes(tmp_path):
    data, _ = open_scene(run_folder(tmp_path / "out"))
    assert page.single_page(data) == page.single_page(data)
