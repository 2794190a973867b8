"""What lies in a work folder comes out as it went in, and only for the run that put it there."""

import numpy as np
import pytest
import torch

from recon3d.core.lens import Lens
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.errors import InputError
from recon3d.pipeline.artefacts import (
    WorkFolder,
    fingerprint,
    pack_gaussians,
    pack_mapping,
    unpack_gaussians,
    unpack_mapping,
)
from recon3d.progress import Progress
from recon3d.sfm.mapping import Mapping


def saved_and_loaded(arrays, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        return dict(stored)


def test_gaussians_and_mappings_survive_the_work_folder(tmp_path):
    gaussians = synthetic_gaussians(20)
    back = unpack_gaussians(saved_and_loaded(pack_gaussians(gaussians), tmp_path))
    assert torch.equal(back.means, gaussians.means) and torch.equal(back.sh, gaussians.sh) and back.mode == "default"
    lenses = (Lens("OPENCV", (100.5, 101, 32, 24, 0.1, 0.2, 0.3, 0.4), 48, 64),) * 2
    found = Mapping(
        (0, 3), torch.eye(4, dtype=torch.float64).repeat(2, 1, 1), lenses, torch.rand(5, 3), torch.rand(5),
        torch.tensor([0, 1]), torch.tensor([4, 4]), torch.rand(2, 2), "few views", "because", True,
    )  # fmt: skip
    back = unpack_mapping(saved_and_loaded(pack_mapping(found), tmp_path))
    assert back.lenses == lenses and back.registered == (0, 3) and back.settings == "few views" and back.repeatable
    assert torch.equal(back.track_xy, found.track_xy)


def test_a_kept_stage_is_made_once_and_marked_as_resumed(tmp_path):
    output, made = tmp_path / "scene.ply", []

    def make():
        made.append(1)
        return np.arange(3)

    for resume in (False, True):
        progress = Progress()
        work = WorkFolder(output, "same", resume, progress)
        with progress.stage("geometry"):
            value = work.kept("geometry", make, lambda v: {"v": v}, lambda a: a["v"])
        assert value.tolist() == [0, 1, 2] and progress.stages[0].resumed == resume
        work.release()
    assert len(made) == 1


def test_a_work_folder_is_removed_with_a_note_unless_it_is_resumed_for_the_same_input(tmp_path):
    output = tmp_path / "scene.ply"
    for mark, resume, noted in (("a", False, False), ("a", False, True), ("b", True, True)):
        progress = Progress()
        work = WorkFolder(output, mark, resume, progress)
        assert bool(progress.notes) == noted
        assert not (work.path / "stage").exists()
        (work.path / "stage").touch()
        work.release()


def test_a_second_run_does_not_touch_what_another_one_works_in(tmp_path):
    """It deleted the first one's work folder, or took its unfinished stages for its own."""
    output = tmp_path / "scene.ply"
    first = WorkFolder(output, "same", False, Progress())
    (first.path / "stage").touch()
    for resume in (False, True):
        with pytest.raises(InputError, match="another run is writing it"):
            WorkFolder(output, "same", resume, Progress())
    assert (first.path / "stage").exists()
    first.remove()
    assert not first.path.exists()
    WorkFolder(output, "same", False, Progress()).remove()


def test_the_fingerprint_changes_with_a_file_and_with_the_request(tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"1")
    first = fingerprint("request", (photo,))
    assert fingerprint("request", (photo,)) == first != fingerprint("other", (photo,))
    photo.write_bytes(b"22")
    assert fingerprint("request", (photo,)) != first
