#!/usr/bin/env bash
# Runs the tests over real components in two lanes at once: lanes.sh PYTHON. Most of their time is waiting.
#
# A Docker engine has its bridge, its addresses and its lock once per network namespace; so the second lane gets one of its own, and with it
# a loopback of its own. It has no way out: what needs the network (building an image) runs in the first.
set -uo pipefail
python=$1
second=(test_path.py test_prometheus.py test_cadvisor.py test_cadvisor_queries.py)
second=("${second[@]/#/tests/real/}")
folder=${TMPDIR:-/tmp}/vakhta-lane
mkdir -p "$folder"

# shellcheck disable=SC2016 # the inner shell expands these
TMPDIR=$folder unshare --net bash -c 'ip link set lo up && exec "$@"' bash \
  "$python" -m pytest -p no:cacheprovider "${second[@]}" >"$folder/output" 2>&1 &
lane=$!
trap 'kill "$lane" 2>/dev/null' INT TERM
"$python" -m pytest tests/real "${second[@]/#/--ignore=}"
first_code=$?
wait "$lane"
second_code=$?
cat "$folder/output"
exit $((first_code != 0 ? first_code : second_code))
