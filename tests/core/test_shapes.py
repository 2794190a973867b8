"""The checker of declared shapes: what it lets pass, and how it names what it does not."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import torch
from torch import Tensor

from recon3d.core.shapes import check_shapes, declared_shapes


@dataclass(frozen=True)
class Pictures:
    names: tuple[str, ...]
    images: Annotated[tuple[Tensor, ...], "N × 3 H W"]
    masks: Annotated[tuple[Tensor | None, ...], "N × H W"] | None
    poses: Annotated[Tensor, "N 4 4"]
    scale: Annotated[Tensor, ""]
    note: str = ""

    def __post_init__(self) -> None:
        check_shapes(self)


def pictures(**changes) -> Pictures:
    """Two pictures of different sizes; the second has no mask."""
    values = {
        "names": ("a.jpg", "b.jpg"),
        "images": (torch.zeros(3, 4, 6), torch.zeros(3, 5, 2)),
        "masks": (torch.zeros(4, 6), None),
        "poses": torch.zeros(2, 4, 4),
        "scale": torch.ones(()),
    }
    return Pictures(**{**values, **changes})


def test_sizes_may_differ_between_items_but_not_within_one():
    assert pictures().note == ""
    assert pictures(masks=None).masks is None
    with pytest.raises(ValueError, match=r"Pictures.masks\[0\] \(a.jpg\) .* H is 5 here and 4 in Pictures.images\[0\]"):
        pictures(masks=(torch.zeros(5, 6), None))


def test_a_number_must_match_and_the_message_names_the_view():
    with pytest.raises(ValueError, match=r"Pictures.images\[1\] \(b.jpg\) has shape \[1, 5, 2\], expected \[3, H, W\]"):
        pictures(images=(torch.zeros(3, 4, 6), torch.zeros(1, 5, 2)))


def test_the_length_of_a_list_is_an_axis_like_any_other():
    with pytest.raises(ValueError, match=r"Pictures.poses has shape \[3, 4, 4\]: N is 3 here and 2 in Pictures.images"):
        pictures(poses=torch.zeros(3, 4, 4))


def test_a_scalar_and_a_number_of_axes_are_checked():
    with pytest.raises(ValueError, match=r"Pictures.scale has shape \[1\]"):
        pictures(scale=torch.ones(1))
    with pytest.raises(ValueError, match=r"Pictures.poses has shape \[4, 4\]"):
        pictures(poses=torch.zeros(4, 4))


def test_only_annotated_fields_are_declared():
    assert declared_shapes(Pictures) == {"images": "N × 3 H W", "masks": "N × H W", "poses": "N 4 4", "scale": ""}
