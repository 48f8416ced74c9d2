#!/usr/bin/env bash
# Everything that needs a GPU, on a machine that has one: the device tests, compute-sanitizer's four tools, a comparison
# with the software device, and both trainers timed beside PyTorch (eager, compiled, with CUDA graphs).
#
#   tests/gpu/run.sh [--skip-timing]
#
# Installs packages that it needs. Ends with 77 and the reason where there is no GPU. Results go to build/gpu/results.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() { echo "SKIPPED: $1"; exit 77; }
timing=yes
for argument in "$@"; do
  case $argument in
    --skip-timing) timing=no ;;
    *) echo "run.sh: there is no flag $argument" >&2; exit 2 ;;
  esac
done

command -v nvidia-smi >/dev/null || skip "no NVIDIA driver: nvidia-smi was not found"
gpus=$(nvidia-smi --list-gpus 2>&1) || skip "nvidia-smi fails: $gpus"
[ -n "$gpus" ] || skip "the driver knows no GPU"
command -v nvcc >/dev/null || export PATH=$PATH:/usr/local/cuda/bin
command -v nvcc >/dev/null || skip "no CUDA toolkit: nvcc was not found"
echo "$gpus"
nvidia-smi --query-gpu=driver_version,clocks.max.sm,memory.total --format=csv

cmake/packages.sh tests bench

build=build/gpu results=build/gpu/results
GPUNN_REQUIRE_CUDA=1 cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGPUNN_CUDA_ARCHITECTURES=native \
  -DGPUNN_BUILD_TESTS=ON -DGPUNN_BUILD_BENCH=ON -DGPUNN_BUILD_EXAMPLES=OFF
cmake --build $build --target gpunn_cuda gpu_test gpu_trace sim_trace train_step
mkdir -p $results

failed=()
step() {  # step NAME COMMAND...: goes on after a failure, and remembers it
  echo "== $1"
  "${@:2}" 2>&1 | tee "$results/$1.txt" || failed+=("$1")
}

export LD_LIBRARY_PATH=$PWD/$build${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
step device-tests ctest --test-dir $build -L '^gpu$' --output-on-failure
# A skipped device test is a failure here: there is a GPU.
if grep -q "Skipped" "$results/device-tests.txt"; then failed+=("device-tests skipped"); fi
# Code is loaded when it is first launched, unless told otherwise; both ways must work.
CUDA_MODULE_LOADING=EAGER step device-tests-eager-loading ctest --test-dir $build -L '^gpu$' --output-on-failure

for tool in memcheck racecheck initcheck synccheck; do
  flags=()
  [ $tool = memcheck ] && flags=(--leak-check full)
  step "sanitizer-$tool" compute-sanitizer --tool $tool --error-exitcode 9 "${flags[@]}" \
    $build/tests/gpu/gpu_trace cuda $results/$tool.trace 3
done

step trace-gpu $build/tests/gpu/gpu_trace cuda $results/gpu.trace
step trace-gpu-again $build/tests/gpu/gpu_trace cuda $results/gpu-again.trace
step same-bits cmp $results/gpu.trace $results/gpu-again.trace
step trace-sim $build/tests/gpu/sim_trace sim $results/sim.trace
step beside-sim python3 tests/gpu/compare_traces.py $results/gpu.trace $results/sim.trace

if [ $timing = yes ]; then
  step timing python3 bench/compare.py --device cuda --networks ffn cnn --ours $build/bench/train_step \
    --peers torch torch_compiled torch_graph --threads 1 --skip-start --output $results/compare
fi

if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo "all of it passed; results in $results"
