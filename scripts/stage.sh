#!/usr/bin/env bash
# Runs one stage of a longer run and says how long it took: stage.sh NAME COMMAND...
set -uo pipefail
name=$1
shift
echo "== $name"
start=$SECONDS
"$@"
code=$?
if ((code == 0)); then
  echo "== $name: ok, $((SECONDS - start)) s"
else
  echo "== $name: FAILED (exit $code), $((SECONDS - start)) s" >&2
fi
exit "$code"
