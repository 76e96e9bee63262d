#!/bin/sh
# All that a machine with a GPU can tell, into the folder OUT: sh gpu/run.sh [OUT [--resume]]
# Takes the Python named PYTHON, and from gpu/wheels (see `make gpu-bundle`) what that Python lacks. Installs nothing.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
lacking=$(mktemp -d)
trap 'rm -rf "$lacking"' EXIT
for wheel in gpu/wheels/*.whl; do
	name=$(basename "$wheel" | cut -d- -f1)
	"$python" -c "import $name" 2>/dev/null || "$python" -m zipfile -e "$wheel" "$lacking" || echo "$wheel: left out"
done
export PYTHONPATH="$lacking${PYTHONPATH:+:$PYTHONPATH}"
"$python" -c 'from replay.cli import main; main()' session --out "${1:-runs/gpu}" ${2:+"$2"}
