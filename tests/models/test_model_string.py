"""The architecture that a file names as a line of Python: read where it is plain, refused where it is not, never run."""

import argparse
import json
import random
from pathlib import Path

import pytest
import torch

from recon3d.errors import InputError
from recon3d.models.dust3r.config import DUST3R_224_LINEAR, DUST3R_512_DPT, DUST3R_512_LINEAR, MAST3R_512
from recon3d.models.dust3r.model_string import config_of_checkpoint, settings_of
from recon3d.models.dust3r.network import Dust3r
from recon3d.models.dust3r.published import LAYOUT
from recon3d.models.loading import content_of, filled
from recon3d.models.meta import on_meta
from recon3d.models.official import unwrapped
from tests.models.dust3r_files import LINEAR, naver_file, published, tiny, tiny_config

SIZES = (
    "depth_mode=('exp', -inf, inf), conf_mode=('exp', 1, inf), enc_embed_dim=1024, enc_depth=24, enc_num_heads=16, "
    "dec_embed_dim=768, dec_depth=12, dec_num_heads=12"
)
MANY = "pos_embed='RoPE100', patch_embed_cls='ManyAR_PatchEmbed', img_size=(512, 512)"
PUBLISHED = {
    "AsymmetricCroCo3DStereo(pos_embed='RoPE100', img_size=(224, 224), head_type='linear', output_mode='pts3d', "
    f"{SIZES})": DUST3R_224_LINEAR,
    f"AsymmetricCroCo3DStereo({MANY}, head_type='linear', output_mode='pts3d', {SIZES})": DUST3R_512_LINEAR,
    f"AsymmetricCroCo3DStereo({MANY}, head_type='dpt', output_mode='pts3d', {SIZES})": DUST3R_512_DPT,
    f"AsymmetricMASt3R({MANY}, head_type='catmlp+dpt', output_mode='pts3d+desc24', {SIZES}, two_confs=True, "
    "desc_conf_mode=('exp', 0, inf))": MAST3R_512,
}


def saved(text) -> dict:
    return {"args": argparse.Namespace(model=text), "model": {}}


@pytest.mark.parametrize("text", PUBLISHED, ids=["224", "512", "512-dpt", "mast3r"])
def test_published_strings_give_published_sizes_in_any_order_and_spacing(text):
    name, settings = text.split("(", 1)[0], settings_of(text, "file.pth")
    del settings["model"]
    parts = [f"{key} =  {value!r}" for key, value in settings.items()]
    random.Random(0).shuffle(parts)
    at_inference = ",".join(parts).replace("ManyAR_PatchEmbed", "PatchEmbedDust3R") + ", landscape_only=False"
    other = f"  {name}( {at_inference} )\n".replace("-inf", "float('-inf')")
    for spelled in (text, other, text.replace("(512, 512)", "512")):
        assert config_of_checkpoint(saved(spelled), "file.pth") == PUBLISHED[text]


@pytest.mark.parametrize("text", PUBLISHED, ids=["224", "512", "512-dpt", "mast3r"])
def test_the_hubs_config_gives_the_same(text):
    """It has no class, lists for tuples, and infinities as the bare words that Python writes."""
    settings = settings_of(text, "config.json")
    del settings["model"]
    document = json.dumps(settings)
    assert "-Infinity" in document
    assert config_of_checkpoint(json.loads(document), "config.json") == PUBLISHED[text]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("__import__('os').system('touch CANARY')", "no call of a network"),
        ("exec(\"open('CANARY', 'w')\")", "calls exec"),
        ("AsymmetricMASt3R(open('CANARY', 'w'))", "an argument without a name"),
        ("AsymmetricMASt3R(img_size=open('CANARY', 'w'))", "img_size of its model string is a call of open"),
        ("AsymmetricMASt3R(img_size=[open('CANARY', 'w'), 1])", "a call of open"),
        ("AsymmetricMASt3R(pos_embed=float(open('CANARY', 'w').name))", "a call of float"),
        ("AsymmetricMASt3R(depth_mode=('exp', -open('CANARY', 'w'), inf))", "a UnaryOp"),
        ("AsymmetricMASt3R(img_size=(lambda: open('CANARY', 'w'))())", "a call"),
        ("AsymmetricMASt3R(pos_embed=f\"{open('CANARY', 'w')}\")", "a JoinedStr"),
        ("AsymmetricMASt3R(**{'img_size': open('CANARY', 'w')})", r"\*\*, which is no setting"),
        ("AsymmetricMASt3R(*[open('CANARY', 'w')])", "an argument without a name"),
        ("AsymmetricMASt3R(img_size=[x for x in open('CANARY', 'w')])", "a ListComp"),
        ("AsymmetricMASt3R(img_size=__builtins__)", "the name __builtins__"),
        ("AsymmetricMASt3R(img_size=torch.inf)", "an attribute"),
        ("AsymmetricMASt3R(enc_depth=10**10**10)", "a BinOp"),
        ("AsymmetricMASt3R(img_size=((1, 2), 3))", "nested"),
        ("AsymmetricMASt3R(img_size=1j)", "a Constant"),
        ("AsymmetricMASt3R(shell='x')", "shell, which is no setting"),
        ("AsymmetricMASt3R(img_size=1, img_size=2)", "img_size twice"),
        ("AsymmetricMASt3R(img_size=1); open('CANARY', 'w')", "no Python"),
        ("AsymmetricMASt3R(img_size=" + "(" * 1000 + ")" * 1000 + ")", "no Python"),
        ("AsymmetricMASt3R(img_size=" + "-" * 3000 + "1)", ""),
        ("AsymmetricMASt3R(img_size=1)" + " " * 5000, "characters"),
        ("AsymmetricMASt3R(img_size='\0')", ""),
        ("evil.AsymmetricMASt3R()", "no call of a network"),
        ("AsymmetricMASt3R()()", "no call of a network"),
    ],
)
def test_anything_else_is_refused_by_name_and_does_not_run(text, found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"evil.pth: .*{found}"):
        config_of_checkpoint(saved(text), "evil.pth")
    assert not Path("CANARY").exists()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("pos_embed='RoPE100', ", ""), "pos_embed is 'cosine'"),
        (("'RoPE100'", "'RoPEx'"), "pos_embed is 'RoPEx'"),
        (("enc_depth=2", "enc_depth=1000000000"), "more than 1000 layers"),
        (("enc_depth=2", "enc_depth=-2"), "not positive"),
        (("enc_depth=2", "enc_depth='2'"), "no value"),
        (("enc_num_heads=2", "enc_num_heads=5"), "cannot share"),
        (("'linear'", "'catmlp+dpt'"), "AsymmetricCroCo3DStereo has no head"),
        (("'linear'", "'gs'"), "no value"),
        (("'pts3d'", "'pts3d+desc24'"), "output_mode"),
        (("-inf, inf", "0, inf"), "depth_mode"),
        (("('exp', 1, inf)", "('exp', 1)"), "no mode"),
        (("('exp', 1, inf)", "None"), "conf_mode is None"),
        (("('exp', 1, inf)", "('sigmoid', 0, inf)"), "conf_mode"),
        (("img_size", "patch_embed_cls='PatchEmbedDUNE', img_size"), "PatchEmbedDUNE"),
        (("(64, 64)", "(60, 64)"), "img_size"),
    ],
)
def test_settings_of_no_published_network_are_refused(change, found):
    with pytest.raises(InputError, match=f"file.pth.*{found}"):
        config_of_checkpoint(saved(LINEAR.replace(*change)), "file.pth")


@pytest.mark.parametrize(
    "values", [{"model": ["x"]}, {"conf_mode": [["exp"], 1, 2]}, {"dpt": 3}, {"img_size": [True, 16]}]
)
def test_a_config_of_the_hub_with_other_types_is_refused(values):
    with pytest.raises(InputError, match=r"config\.json"):
        config_of_checkpoint({"pos_embed": "RoPE100", **values}, "config.json")


@pytest.mark.parametrize("model", [None, 7, ["AsymmetricMASt3R()"]])
def test_args_without_a_string_are_refused(model):
    with pytest.raises(InputError, match="no model string"):
        config_of_checkpoint(saved(model), "file.pth")


@pytest.mark.parametrize("content", [{}, {"model": {}}, [], {"patch_embed.proj.weight": torch.zeros(1)}, None])
def test_a_file_that_says_nothing_of_its_sizes_gives_none(content):
    assert config_of_checkpoint(content, "file.pth") is None


def test_the_authors_file_opens_as_their_network(tmp_path):
    network = tiny(tiny_config(LINEAR))
    torch.save(naver_file(network, LINEAR), tmp_path / "tiny.pth")
    content = content_of(tmp_path / "tiny.pth")
    config = config_of_checkpoint(content, "tiny.pth")
    assert config is not None
    loaded = filled(on_meta(lambda: Dust3r(config)), unwrapped(content), LAYOUT, "tiny.pth")
    image = torch.rand(1, 3, 32, 48)
    torch.testing.assert_close(loaded(image, image)[1].points, network(image, image)[1].points)
    assert len(published(network)) == len(unwrapped(content))
