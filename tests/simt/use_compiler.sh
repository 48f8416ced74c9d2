#!/bin/sh
# use_compiler.sh "<launcher> <compiler>" <the project's compiler> <arguments...>
# CMake has one compiler per language; as a launcher, this puts another in its place for one target.
wanted=$1
shift
# In front of a compiler launcher's name comes nothing else: drop words up to the project's compiler.
while [ $# -gt 0 ]; do
  case $1 in
    -*) break ;;
    *) shift ;;
  esac
done
exec $wanted "$@"
