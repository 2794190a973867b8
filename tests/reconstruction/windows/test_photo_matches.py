"""Matches of two photos of a wall whose place in both is known; of two walls there are none."""

import cv2
import numpy as np
import torch

from recon3d.reconstruction.windows.loops import LEAST_MATCHES
from recon3d.reconstruction.windows.photo_matches import photo_matcher
from tests.reconstruction.scenes import noise_picture, plane_photos


def test_matches_lie_where_the_wall_puts_them_in_photos_of_two_sizes():
    views, geometry, normal = plane_photos(views=2, width=384, height=288)
    photos = [image.permute(1, 2, 0).numpy() for image in views.images]
    photos[1] = cv2.resize(photos[1], (288, 216), interpolation=cv2.INTER_AREA)
    here, there = photo_matcher(lambda view: photos[view])(0, 1)
    assert len(here) >= 3 * LEAST_MATCHES
    rays = torch.cat((here.double(), torch.ones(len(here), 1, dtype=torch.float64)), 1) @ geometry.cameras.K[0].inverse().T
    center, direction = geometry.cameras.centers_in_world[0], geometry.cameras.in_world(0, rays)
    direction = direction - center
    on_wall = torch.from_numpy(normal)
    points = center - (center @ on_wall) / (direction @ on_wall)[:, None] * direction
    wanted = geometry.cameras[[1]].project(points)[0][0] * 0.75
    off = (wanted - there).norm(dim=1)
    assert float(off.median()) < 0.7 and float((off < 3).double().mean()) > 0.95


def test_photos_of_other_walls_have_no_matches():
    photos = [(255 * noise_picture(288, 384, seed)).astype(np.uint8) for seed in (1, 2)]
    here, there = photo_matcher(lambda view: photos[view])(0, 1)
    assert len(here) == len(there) < LEAST_MATCHES


def test_a_photo_without_features_has_no_matches():
    photos = [np.full((200, 300, 3), 128, np.uint8), (255 * noise_picture(200, 300)).astype(np.uint8)]
    assert len(photo_matcher(lambda view: photos[view])(0, 1)[0]) == 0
