#!/usr/bin/env bash
# Trains one example, from a fresh clone to the test accuracy:  examples/run.sh digits_cnn [flags of the example]
#
# Installs what is missing (it says what), builds only that example, fetches its data and starts it.
#   --no-install  first argument: install nothing, for machines without network or root
# `examples/run.sh NAME --help` lists the flags of an example; without a name, the examples are listed.
set -euo pipefail
cd "$(dirname "$0")/.."

setup=()
if [ "${1:-}" = --no-install ]; then setup=(--no-install); shift; fi

# The data set that each example trains on; the word none for those that make their own.
data_of() {
  case $1 in
    digits_cnn) echo digits ;;
    tabular_ffn) echo cells ;;
    review_gru | char_rnn) echo reviews ;;
    *) echo none ;;
  esac
}

name=${1:-}
if [ -z "$name" ] || [ ! -f "examples/$name.cpp" ]; then
  [ -z "$name" ] || echo "run.sh: there is no example '$name'." >&2
  echo "usage: examples/run.sh [--no-install] NAME [flags]; the examples are:" >&2
  for source in examples/*.cpp; do [ ! -f "$source" ] || basename "$source" .cpp; done | sed 's/^/  /' >&2
  exit 2
fi
shift

cmake/packages.sh "${setup[@]}" examples

# The folder is the one of tests/run.sh, whose configuration is kept when it is there: this only needs less of it.
build=build/release
[ -f $build/CMakeCache.txt ] || cmake --preset release -DGPUNN_BUILD_TESTS=OFF
targets=("$name")
# The CUDA backend is loaded at run time, so no example needs it to be built: only those who have a GPU, or ask for one.
if [ -e /dev/nvidiactl ] || [[ " $* " == *" --plan-for"* ]]; then
  [ ! -e /dev/nvidiactl ] || cmake -S . -B $build -DGPUNN_CUDA_ARCHITECTURES=native
  if cmake --build $build --target help | grep -q '^gpunn_cuda:'; then targets+=(gpunn_cuda); fi
fi
cmake --build $build --target "${targets[@]}"

data=$(data_of "$name")
[ "$data" = none ] || examples/data.sh "${setup[@]}" "$data"

exec "$build/examples/$name" "$@"
