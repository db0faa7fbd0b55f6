#!/usr/bin/env bash
# Writes both lock files from pyproject.toml, with hashes and without any address: lock.sh PYTHON
# The second is constrained by the first, so that the tests run what is shipped.
set -euo pipefail
export CUSTOM_COMPILE_COMMAND='make lock'
compile=("$1" -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe --build-deps-for editable
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options)
"${compile[@]}" --output-file requirements.lock pyproject.toml
"${compile[@]}" --output-file requirements-dev.lock --extra dev --constraint requirements.lock pyproject.toml
