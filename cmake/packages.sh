#!/usr/bin/env bash
# Installs what libgpunn needs on Debian 12 or newer and Ubuntu 24.04 or newer, after saying what is missing.
#
#   cmake/packages.sh [--no-install] [--list] [GROUP...]
#
#   GROUP         library (default), tests, examples, data, bench; every group includes library, except data
#   --no-install  only say what is missing, and go on: CMake decides whether it can do without
#   --list        print the names of the packages and stop
#
# As root it calls apt-get itself, else through sudo. Where everything is there it neither needs a network nor root.
set -euo pipefail

# "a|b" means that either will do: releases differ in their names.
declare -A packages=(
  [library]='g++ cmake ninja-build libdnnl-dev|libonednn-dev ocl-icd-opencl-dev libspdlog-dev nlohmann-json3-dev zlib1g-dev'
  [examples]='libcli11-dev'
  [tests]='libcli11-dev libgtest-dev libgmock-dev libboost-context-dev clang python3'
  [bench]='libcli11-dev'
  [data]='python3 python3-venv ca-certificates'
)

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit "$1"
}

install=yes list=no groups=()
for argument in "$@"; do
  case $argument in
    --no-install) install=no ;;
    --list) list=yes ;;
    -h | --help) usage 0 ;;
    library | tests | examples | data | bench) groups+=("$argument") ;;
    *) echo "packages.sh: unknown argument '$argument'" >&2; usage 2 >&2 ;;
  esac
done
[ ${#groups[@]} -gt 0 ] || groups=(library)

for group in "${groups[@]}"; do
  if [ "$group" != data ]; then groups+=(library); fi
done
mapfile -t wanted < <(for group in "${groups[@]}"; do printf '%s\n' ${packages[$group]}; done | sort -u)

if [ $list = yes ]; then
  printf '%s\n' "${wanted[@]}"
  exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "packages.sh: no apt-get on this system; needed are, by their Debian names: ${wanted[*]}" >&2
  exit 0
fi

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
known() { apt-cache show "$1" >/dev/null 2>&1; }

missing=()
for choice in "${wanted[@]}"; do
  found=no
  for name in ${choice//|/ }; do
    if installed "$name"; then found=yes; fi
  done
  [ $found = yes ] || missing+=("$choice")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

echo "Missing packages: ${missing[*]}"
if [ $install = no ]; then
  echo "--no-install: going on without them."
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "packages.sh: neither root nor sudo. Ask an administrator for: apt-get install ${missing[*]%%|*}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
quiet_apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive TZ=UTC LC_ALL=C.UTF-8 \
    apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

# Lists from an old image name packages that mirrors no longer hold, so they are always read anew.
quiet_apt update >/dev/null || echo "packages.sh: the package lists could not be updated; trying with the ones at hand" >&2

names=()
for choice in "${missing[@]}"; do
  name=
  for candidate in ${choice//|/ }; do
    if [ -z "$name" ] && known "$candidate"; then name=$candidate; fi
  done
  if [ -z "$name" ]; then
    echo "packages.sh: no package ${choice//|/ or } is known to apt; on Ubuntu enable 'universe' and try again" >&2
    exit 1
  fi
  names+=("$name")
done
echo "Installing: ${names[*]}"
quiet_apt install --no-install-recommends "${names[@]}"
