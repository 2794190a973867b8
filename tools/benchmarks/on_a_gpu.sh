#!/usr/bin/env bash
# All that a GPU is to prove, in one go of about six minutes (gsplat compiles for two of them):
#     bash tools/benchmarks/on_a_gpu.sh PYTHON PHOTOS
# PYTHON has torch for CUDA, gsplat and what this package needs; PHOTOS is a folder such as ../shared/data/fountain-P11/images.
# Scenes and reports stay in $OUT, where that is set.
set -uo pipefail
python="$1" photos="$2"
out="${OUT:-$(mktemp -d)}"
export PYTHONPATH="$PWD" MAX_JOBS="${MAX_JOBS:-$(nproc)}"
"$python" tools/gpu_check.py
"$python" -m tools.benchmarks.refinement_speed --device cuda
echo "photos to files at standard quality, seconds by the clock (the second run, when all is compiled):"
for _ in 1 2; do
    time "$python" -m recon3d.cli run "$photos" --out "$out/scene" --device cuda --overwrite
done
"$python" -c "import json, sys; [print(s['name'], round(s['seconds'], 1)) for s in json.load(open(sys.argv[1]))['stages']]" "$out/scene/report.json"
for device in cpu cuda; do
    "$python" -m recon3d.cli run "$photos" --out "$out/$device" --device "$device" --seed 0 --holdout 8:4 --max-size 384
    "$python" -c "import json, sys; print(sys.argv[2], json.load(open(sys.argv[1]))['holdout']['mean'])" "$out/$device/report.json" "$device"
done
# By name: collecting all tests would need every package that any of them compares with.
"$python" -m pytest -m gpu $(grep -rlE "pytest\.mark\.gpu" tests --include='test_*.py')
"$python" -m tools.benchmarks.procedural --device cuda --scenes 2000
"$python" -m tools.benchmarks.training --device cuda --recipe small-gpu --steps 40
