"""Reports show every row, failure and reason, and nothing that a name could smuggle in."""

import html.parser
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from recon3d.errors import InputError
from recon3d.evaluation.charts import axis, log_axis
from recon3d.evaluation.markdown import escaped
from recon3d.evaluation.records import Pictures, read_records, write_record
from recon3d.evaluation.report import write_report
from recon3d.evaluation.triplets import MOST, WIDEST, small_jpeg, worst
from recon3d.evaluation.wording import left_out
from tests.evaluation.invented import METHODS, failed, record, write_invented

HOSTILE = "<script>alert(1)</script>|\"&'`*x*`"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """With records of an invented evaluation and its report."""
    out = tmp_path_factory.mktemp("evaluation")
    write_invented(out)
    write_report(out)
    return out


class Tags(html.parser.HTMLParser):
    """Elements and their text; elements that are not closed in their order are a mistake."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.opened: list[str] = []
        self.feed(text)
        assert self.opened == []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        if tag not in ("meta", "img"):
            self.opened.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_json_is_strict_and_has_a_row_for_every_method_and_number_of_views(folder: Path):
    document = json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)
    assert [table["task"] for table in document["tables"]] == ["nvs", "poses"]
    assert all(len(table["rows"]) == 3 * len(METHODS) for table in document["tables"])
    row = document["tables"][0]["rows"][0]
    assert (row["method"], row["views"], row["scenes"]) == ("colmap+3dgs", 3, {"ok": 3, "failed": 2, "skipped": 1})
    psnr = row["over_scenes"]["psnr"]
    assert psnr["with_failed"] == pytest.approx(psnr["measured"] * 3 / 5) and psnr["scenes_with_failed"] == 5
    assert row["over_scenes"]["lpips"]["measured"] is None and "vgg16" in row["over_scenes"]["lpips"]["unavailable"]
    assert len(document["scenes"]) == len(read_records(folder)) and document["versions"]["commit"] == {"fa79315": 132}


def test_the_markdown_has_whole_tables_and_all_reasons(folder: Path):
    text = (folder / "report.md").read_text()
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    for word in ("over pairs", "mean of scenes", "no two images overlap", "31 kB of pixel data", "seed 1", "vgg16"):
        assert word in text
    assert "| leaves | 3, 6, 12 |" in text


def test_the_page_is_whole_and_asks_for_nothing(folder: Path):
    text = (folder / "report.html").read_text()
    tags = Tags(text)
    assert tags.names.count("img") == 3 * MOST and "script" not in tags.names
    assert tags.names.count("table") == 5 and tags.names.count("figure") == MOST + 2 * (2 + 1 + 3)
    assert re.findall(r"https?://|url\(", text) == []
    assert "trex<b>" in tags.text and "b" in tags.names and tags.names.count("b") == MOST


def test_failures_share_a_line_only_where_every_method_failed_from_every_number_of_views():
    records = [
        failed("a", "x", 3),
        failed("a", "y", 3),
        failed("a", "x", 6),
        failed("a", "x", 12),
        failed("b", "x", 3, why="z"),
    ]
    lines = [(scene, views, methods) for _, scene, views, methods, _ in left_out(records, "failed")]
    assert lines == [("a", "3", "x, y"), ("a", "6, 12", "x"), ("b", "3", "x")]


def test_names_from_outside_stay_text(tmp_path: Path):
    picture = Pictures(HOSTILE, HOSTILE, "../../outside.png", "results", 5.0)
    more = {"versions": {HOSTILE: HOSTILE}, "protocol": {"frames": HOSTILE}}
    write_record(tmp_path, record(HOSTILE, HOSTILE, figures={"psnr": 5.0}, pictures=(picture,), seconds=1.0, **more))
    write_record(tmp_path, failed(HOSTILE, "other", why=f"{HOSTILE}\nsecond line", **more))
    write_record(tmp_path, record("\udcff", "other", figures={"psnr": 5.0}, unavailable={"lpips": HOSTILE}, **more))
    write_report(tmp_path)
    tags = Tags((tmp_path / "report.html").read_text())
    assert "script" not in tags.names and HOSTILE in tags.text and "outside of the evaluation's folder" in tags.text
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert any(escaped(f"{HOSTILE} second line") in line for line in lines)
    assert not any(re.search(r"(?<!\\)<script", line) for line in lines)


def test_the_worst_view_of_each_record_is_shown_and_the_worst_record_first():
    def pictured(scene: str, *values: float | None):
        return record(scene, pictures=tuple(Pictures(f"{v}", "t", "r", "e", v) for v in values))

    found = worst([pictured("a", 20.0, 18.0), pictured("b", None), pictured("c", 12.0, 30.0), record("d")])
    assert [(one.scene, pictures.psnr) for one, pictures in found] == [("c", 12.0), ("a", 18.0), ("b", None)]


def test_pictures_are_small_and_come_from_the_folder_alone(tmp_path: Path):
    Image.new("RGBA", (1280, 720)).save(tmp_path / "wide.png")
    (tmp_path / "small.jpg").write_bytes(small_jpeg(tmp_path, "wide.png"))
    assert Image.open(tmp_path / "small.jpg").size == (WIDEST, 180)
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "link.png").symlink_to(tmp_path / "wide.png")
    for path in ("../wide.png", str(tmp_path / "wide.png"), "link.png"):
        with pytest.raises(ValueError, match="outside"):
            small_jpeg(inner, path)


def test_a_folder_without_records_is_an_input_error(tmp_path: Path):
    with pytest.raises(InputError, match="no record"):
        write_report(tmp_path)


@pytest.mark.parametrize("values", [[3.0], [0.0], [0.97, 0.98], [-3.0, 1e4], [1e-7, 2e-7], [25.0, 25.0 + 1e-12]])
def test_an_axis_holds_its_values_between_few_round_ticks(values):
    for from_zero in (False, True):
        found = axis("", values, from_zero)
        hair = 1e-9 * max(map(abs, values))  # far below a pixel
        assert found.low <= min(values) + hair and found.high >= max(values) - hair and found.low < found.high
        assert 2 <= len(found.ticks) <= 8 and found.ticks[0] == found.low and found.ticks[-1] == found.high
    assert axis("", values, from_zero=True).low <= 0


@pytest.mark.parametrize("values", [[0.02], [1.0, 1.2], [0.35, 315.0], [0.001, 1e5]])
def test_a_logarithmic_axis_has_ticks(values):
    found = log_axis("", values)
    assert 2 <= len(found.ticks) <= 9 and all(found.low <= tick <= found.high for tick in found.ticks)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser_says_nothing_fetches_nothing_and_is_as_wide_as_the_window(
    browser, folder: Path, tmp_path, scheme
):
    page = browser.new_page(viewport={"width": 1240, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "report.html").as_uri())
    assert said == [] and [url for url in asked if not url.startswith("data:")] == asked[:1]
    sizes = page.eval_on_selector_all("svg", "all => all.map(e => [e.clientWidth, e.clientHeight])")
    assert len(sizes) > 12 and all(min(size) >= 10 for size in sizes)
    assert page.eval_on_selector_all("img", "all => all.every(e => e.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path / f"report-{scheme}.png", full_page=True)
    assert Image.open(tmp_path / f"report-{scheme}.png").height > 2000
    page.close()
