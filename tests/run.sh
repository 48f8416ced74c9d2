#!/usr/bin/env bash
# Sets up, builds and runs every test; ends with ctest's summary and fails when anything did.
#
#   tests/run.sh [--quick] [--no-install] [--stage NAME]... [flags of ctest]
#
#   --quick       the developer's loop: the release build and its tests alone
#   --no-install  install nothing, for machines without network or root
#   --stage NAME  only this stage, of: release, asan (with UBSan), tsan
set -euo pipefail
cd "$(dirname "$0")/.."

setup=() stages=() flags=()
while [ $# -gt 0 ]; do
  case $1 in
    --quick) stages=(release) ;;
    --no-install) setup=(--no-install) ;;
    --stage) stages+=("${2:?--stage needs a name}"); shift ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) flags+=("$1") ;;
  esac
  shift
done
[ ${#stages[@]} -gt 0 ] || stages=(release asan tsan)

cmake/packages.sh "${setup[@]}" tests

# One cache serves every clone of this repository, wherever it lies.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=no summary=()
for stage in "${stages[@]}"; do
  started=$SECONDS
  echo "== $stage"
  if ! { cmake --preset "$stage" >"$log" || { cat "$log"; false; }; } || ! cmake --build --preset "$stage"; then
    failed=yes
    summary+=("$stage: did not build")
    continue
  fi
  ctest --preset "$stage" "${flags[@]}" 2>&1 | tee "$log" || failed=yes
  summary+=("$stage: $(grep -E '% tests passed|No tests were found' "$log" | tail -n 1), $((SECONDS - started)) s")
done

printf '\n'
printf '%s\n' "${summary[@]}"
[ $failed = no ]
