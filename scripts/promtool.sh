#!/usr/bin/env bash
# Checks the shipped rules with the real promtool and runs their unit tests: promtool.sh PYTHON
set -euo pipefail
shopt -s nullglob
promtool=$("$1" -m tests.real.components --path promtool)
rules=(rules/*.yml) tests=(rules/tests/*.yml)
if ((${#rules[@]})); then "$promtool" check rules "${rules[@]}"; else echo "rules/ is empty"; fi
if ((${#tests[@]})); then "$promtool" test rules "${tests[@]}"; fi
