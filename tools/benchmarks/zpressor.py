"""ZPressor's clusters together against one after the other, at the published width.

    python tools/benchmarks/zpressor.py

36 views, 8 anchors, 128 channels, one head, 6 rounds; the loop calls each block for each cluster, with a softmax written out
or with torch's fused attention. Interleaved in one process; medians, and in brackets the quartiles of the ratio.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from recon3d.models.attention import attention
from recon3d.models.zpressor import network
from recon3d.models.zpressor.anchors import picked
from recon3d.models.zpressor.config import PUBLISHED, ZPressorConfig
from recon3d.models.zpressor.network import ZPressor

VIEWS, ANCHORS = 36, 8
SIZES = {"even": (3, 3, 3, 3, 4, 4, 4, 4), "uneven": (1, 1, 2, 2, 3, 3, 4, 12)}  # supports of each anchor: 28 in all
TOKENS = (4, 16, 64, 256, 1792)
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def written_out(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Softmax attention as its formula stands."""
    return (queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5).softmax(-1) @ values


def clusters_of(sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Anchors [1, A] and clusters [1, N]: views of a cluster stand together, the anchor first."""
    clusters = torch.cat([torch.full((size + 1,), j) for j, size in enumerate(sizes)])
    anchors = torch.tensor([int((clusters == j).nonzero()[0]) for j in range(len(sizes))])
    return anchors[None], clusters[None]


def loop(module: ZPressor, features: Tensor, anchors: Tensor, clusters: Tensor, attend: Attend) -> Tensor:
    """One scene, one cluster at a time: every block is called for each."""
    tokens = features[0].flatten(-2).transpose(-1, -2)
    state = list(picked(tokens[None], anchors)[0])
    for cross, alone in zip(module.cross_attn_layers[0], module.self_attn_layers[0], strict=True):  # type: ignore[arg-type]
        for j, anchor in enumerate(anchors[0].tolist()):
            members = [i for i in range(len(tokens)) if clusters[0, i] == j and i != anchor]
            if members:
                keys, values = cross.keys_and_values(tokens[members].flatten(0, 1)[None])
                state[j] = cross.read(state[j][None], attend(cross.queries(state[j][None]), keys, values))[0]
        state = list(alone(torch.stack(state)))
    return torch.stack(state)


def ours(module: ZPressor, features: Tensor, anchors: Tensor, clusters: Tensor) -> Tensor:
    return module.pressed([features], anchors, clusters).features[0][0].flatten(-2).transpose(-1, -2)


def forced(padded_up_to: int, module: ZPressor, *given: Tensor) -> Tensor:
    """Ours with the choice between the forms taken away."""
    kept = dict(network.PADDED_UP_TO)
    network.PADDED_UP_TO.update({"cpu": padded_up_to, "cuda": padded_up_to})
    try:
        return ours(module, *given)
    finally:
        network.PADDED_UP_TO.update(kept)


CONTENDERS = {
    "loop, softmax": partial(loop, attend=written_out),
    "loop, fused": partial(loop, attend=attention),
    "padded": partial(forced, 10**9),
    "ragged": partial(forced, 0),
    "ours": ours,
}


@torch.inference_mode()
def measured(tokens: int, sizes: tuple[int, ...], repeats: int, config: ZPressorConfig, device: str) -> dict[str, Tensor]:
    """Milliseconds of every repeat of each contender, in turn, after a warm-up; and how far outputs are apart."""
    torch.manual_seed(0)
    module = ZPressor(config).to(device).eval()
    anchors, clusters = (x.to(device) for x in clusters_of(sizes))
    features = torch.randn(1, clusters.shape[1], config.embed_dims[0], tokens // 2, 2, device=device)
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    outputs = {}
    for repeat in range(repeats + 1):
        for name, run in CONTENDERS.items():
            synchronise(device)
            start = time.perf_counter()
            outputs[name] = run(module, features, anchors, clusters)
            synchronise(device)
            if repeat:
                times[name].append(1000 * (time.perf_counter() - start))
    apart = max(float((outputs["loop, softmax"] - x).abs().max()) for x in outputs.values())
    return {name: torch.tensor(values) for name, values in times.items()} | {"apart": torch.tensor([apart])}


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def row(tokens: int, name: str, found: dict[str, Tensor]) -> str:
    ratio = found["loop, fused"] / found["ours"]
    low, middle, high = (float(ratio.quantile(q)) for q in (0.25, 0.5, 0.75))
    best = torch.minimum(found["padded"], found["ragged"])
    medians = " | ".join(f"{float(found[c].median()):.1f}" for c in CONTENDERS)
    against = float((found["ours"] / best).median())
    apart, spread = float(found["apart"]), f"{middle:.2f} ({low:.2f} to {high:.2f})"
    return f"| {tokens} | {name} | {medians} | {spread} | {against:.2f} | {apart:.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS, help="of each view, even numbers")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--layers", type=int, default=PUBLISHED.num_layers)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    config = replace(PUBLISHED, num_layers=options.layers)
    names = " | ".join(f"{name}, ms" for name in CONTENDERS)
    print(f"| tokens | clusters | {names} | loop, fused / ours | ours / better form | apart |")
    print("|" + " --- |" * (len(CONTENDERS) + 5))
    for tokens in options.tokens:
        for name, sizes in SIZES.items():
            repeats = max(3, options.repeats // (1 + tokens // 200))
            print(row(tokens, name, measured(tokens, sizes, repeats, config, options.device)), flush=True)


if __name__ == "__main__":
    main()
