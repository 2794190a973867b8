"""A network's answer in the work folder comes back as it was."""

from __future__ import annotations

from dataclasses import fields, replace

import torch

from recon3d.core.matches import Matches
from recon3d.models.pictures import Answer, geometry_in_network
from recon3d.pipeline.sources import pack_answer, unpack_answer
from recon3d.pipeline.stage_reports import JoinReport, LoopReport, MissReport, NetworkReport, WindowsReport


def test_an_answer_is_kept_whole():
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(size, generator=generator) for size in ((3, 4), (5, 2))]
    poses, K = torch.rand(2, 3, 4, generator=generator), torch.rand(2, 3, 3, generator=generator)
    geometry = geometry_in_network(poses, K, maps, [x + 1 for x in maps], source="mast3r", scale="metres")
    eye = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    given = Answer(geometry, 2 * eye, torch.tensor([[0.0, 1, 4, 3], [0, 0, 2, 5]], dtype=torch.float64), unposed=(1,))
    given = replace(given, sky=tuple(x > 0.5 for x in maps))
    matched = Matches(torch.tensor([0, 1, 1]), torch.tensor([4, 4, 7]), torch.rand(3, 2).double(), 512, "mast3r")
    given = replace(given, matches=matched)
    loops = (
        LoopReport(("a", "b"), 40, True, 0.8, None, MissReport(8.0, 0.1, 0.2), MissReport(1.0, 0.01, 0.02)),
        LoopReport(("a", "c"), 3, False, None, "their photos have 3 matches"),
    )
    joins = (JoinReport((0, 1), ("a", "b"), 2, 1.5, 0.1, 0.01, 0.02), JoinReport((1, 2), ("c",), 0, 1.0, 0.0, 0.0, 0.0, "why"))
    windows = WindowsReport(3, 4, 2, "as given", joins, loops)
    run = NetworkReport("cpu", 504, 1, "bfloat16", 1200, "2 views at 504 px", windows)
    found, how = unpack_answer(pack_answer((given, run)))
    assert how == run and found.unposed == (1,)
    assert found.matches is not None and (found.matches.longest, found.matches.source) == (512, "mast3r")
    assert all(torch.equal(getattr(found.matches, name), getattr(matched, name)) for name in ("view", "track", "xy"))
    assert unpack_answer(pack_answer((replace(given, matches=None), run)))[0].matches is None
    assert found.sky is not None and all(torch.equal(a, b > 0.5) for a, b in zip(found.sky, maps, strict=True))
    assert torch.equal(found.network_from_photo, given.network_from_photo)
    assert torch.equal(found.photo_rects, given.photo_rects)
    for field in fields(geometry):
        a, b = getattr(found.geometry, field.name), getattr(geometry, field.name)
        if field.name in ("depth", "confidence"):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        elif field.name == "cameras":
            assert torch.equal(a.camera_from_world, b.camera_from_world) and torch.equal(a.K, b.K)
        elif not isinstance(b, torch.Tensor):
            assert a == b
