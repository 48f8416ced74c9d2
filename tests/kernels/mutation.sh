#!/usr/bin/env bash
# Breaks the kernels one place at a time, in a copy of the tree, and lists what no kernel test notices.
#
#   tests/kernels/mutation.sh [--sample N] [FILE.cu...]
#
# All of them take some hours: three builds stand behind each mutant (plain, then under ASan, then under TSan, which alone
# sees a missing barrier). --sample N tries about one of N, in the plain build. Survivors that are right stand, with the reason,
# in tests/kernels/mutants.txt; at least 95 % of the others must be killed (of a sample, which is small, 75 %).
set -euo pipefail
cd "$(dirname "$0")/../.."

sample=1 files=()
while [ $# -gt 0 ]; do
  case $1 in
    --sample) sample=${2:?}; shift ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) files+=("$1") ;;
  esac
  shift
done
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r CMakeLists.txt CMakePresets.json cmake include src kernels tests "$copy"
cd "$copy"
[ ${#files[@]} -gt 0 ] || files=(kernels/*.cu kernels/*.cuh)
export CCACHE_BASEDIR=$copy CCACHE_NOHASHDIR=1

presets=(release) require=75
if [ "$sample" = 1 ]; then presets+=(asan tsan) require=95; fi
builds=() tests=()
for preset in "${presets[@]}"; do
  cmake --preset "$preset" -DGPUNN_CUDA_ARCHITECTURES=90 -DGPUNN_BUILD_EXAMPLES=OFF >configure.log || { cat configure.log; exit 1; }
  builds+=("ninja -C build/$preset kernels_test")
  tests+=(--test "build/$preset/tests/kernels/kernels_test --gtest_brief=1 --gtest_fail_fast")
done
build=$(printf ' && %s' "${builds[@]}")
python3 tests/simt/mutate.py --build "${build:4}" "${tests[@]}" --sample "$sample" --require $require --verbose \
  --explained tests/kernels/mutants.txt "${files[@]}"
