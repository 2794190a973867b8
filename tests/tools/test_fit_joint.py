"""The joint network, its ZPressor and the rasterizer learn together: one scene is fitted to views that are no inputs."""

import pytest

from tools.fit_joint import fitted, measured, posed_scene


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_500_steps_on_one_scene_predict_the_views_between_its_inputs_to_30_db():
    scene = posed_scene(64, 8)
    before = measured(fitted(scene, (8,), 0, 4, seed=0), scene, 8, 4)
    after = measured(fitted(scene, (8,), 500, 4, seed=0), scene, 8, 4)
    assert before < 25 and after >= 30
