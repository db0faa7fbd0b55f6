#!/usr/bin/env bash
# Makes the virtual environment, or says in one line what the machine lacks for it: venv.sh PYTHON FOLDER
set -euo pipefail
python=$1 folder=$2
if ! command -v "$python" >/dev/null; then
  echo "$python is missing: run  sudo apt-get install -y python3 python3-venv" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "$("$python" --version) is too old, Python 3.11 or newer is needed: run  make PYTHON=python3.11" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then # Debian ships them apart
  echo "python3-venv is missing: run  sudo apt-get install -y python3-venv" >&2
  exit 1
fi
"$python" -m venv "$folder"
