#!/usr/bin/env bash
# Breaks the kernels one place at a time, in copies of the tree, and lists what no kernel test notices.
#
#   tests/kernels/mutation.sh [--work DIR] [--retry] [--report] [--only MUTATION]... [FILE.cu...]
#   tests/kernels/mutation.sh --sample N       about one of N, in the plain build
#
# All of them take about two hours on two cores, two mutants at a time: first the tests of the broken file in a plain build;
# what lives through them is built under ASan, then under TSan (which alone sees a missing barrier), then meets every
# test. With --work the copies and the results stay in DIR and an interrupted run goes on; --retry tries survivors again,
# --report prints the table of DIR. Survivors that are right stand, with the reason, in tests/kernels/mutants.txt; at
# least 95 % of the others must be caught (of a sample, which is small, 75 %).
set -euo pipefail
cd "$(dirname "$0")/../.."

sample=1 work='' report='' files=() options=() shares=(1 2)
while [ $# -gt 0 ]; do
  case $1 in
    --sample) sample=${2:?}; shift ;;
    --work) work=${2:?}; shift ;;
    --retry) options+=(--retry) ;;
    --only) options+=(--only "${2:?}"); shift ;;
    --report) report=1 ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) files+=("$1") ;;
  esac
  shift
done
cleanup() { :; }
if [ -z "$work" ]; then
  work=$(mktemp -d)
  cleanup() { rm -rf "$work"; }
fi
mkdir -p "$work" && work=$(realpath "$work")
[ ${#files[@]} -gt 0 ] || files=(kernels/*.cu kernels/*.cuh)

kinds=(plain:) require=75
if [ "$sample" = 1 ]; then kinds+=(asan:address,undefined tsan:thread) require=95; else shares=(1); fi
stages=()
for kind in "${kinds[@]}"; do
  stages+=(--stage "${kind%%:*}" "ninja -C build/${kind%%:*} kernels_test"
    "build/${kind%%:*}/tests/kernels/kernels_test --gtest_brief=1 --gtest_fail_fast --gtest_filter={tests}")
done
[ "$sample" != 1 ] || stages+=(--stage others true "build/plain/tests/kernels/kernels_test --gtest_brief=1 --gtest_fail_fast")

# Only what has changed is copied, so that builds of an earlier run serve.
refresh() {
  find CMakeLists.txt CMakePresets.json cmake include src kernels tests -type f | while read -r file; do
    cmp -s "$file" "$1/$file" || install -D "$file" "$1/$file"
  done
  (cd "$1" && find cmake include src kernels tests -type f) | while read -r file; do
    [ -e "$file" ] || rm "$1/$file"
  done
}
mutate() { # SHARE
  local copy=$work/$1 kind
  mkdir -p "$copy"
  refresh "$copy"
  cd "$copy"
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
  for kind in "${kinds[@]}"; do
    # -w: a mutant is not to be caught by a warning. -O1 compiles fast and still runs the tests fast.
    [ -e "build/${kind%%:*}/build.ninja" ] || cmake -G Ninja -S . -B "build/${kind%%:*}" -DCMAKE_BUILD_TYPE=Release \
      "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -w" -DGPUNN_SANITIZE="${kind#*:}" -DGPUNN_CUDA=OFF -DGPUNN_BUILD_EXAMPLES=OFF \
      >configure.log || { cat configure.log; exit 1; }
    ninja -C "build/${kind%%:*}" kernels_test >build.log || { cat build.log; exit 1; }
  done
  CCACHE_DISABLE=1 exec python3 tests/simt/mutate.py "${common[@]}" --share "$1/${#shares[@]}" "${files[@]}"
}

common=("${stages[@]}" --tests-of "python3 tests/kernels/tests_of.py" --state "$work/state" --sample "$sample"
  --require $require --verbose --explained tests/kernels/mutants.txt "${options[@]}")
if [ -z "$report" ]; then
  pids=()
  trap 'kill "${pids[@]}" 2>/dev/null || true; wait; cleanup' EXIT
  for share in "${shares[@]}"; do
    mutate "$share" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
fi
python3 tests/simt/mutate.py "${common[@]}" --report "${files[@]}"
