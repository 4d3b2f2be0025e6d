#!/bin/sh
# Makes a Python environment with the parsers of prometheus_client, for the test that reads our texts with them:
#
#   tests/clients/venv.sh /tmp/promenade-python
#   PYTHON_CLIENTS=/tmp/promenade-python/bin/python cargo test -p cli --test e2e huggingface
set -eu
dir=${1:?usage: tests/clients/venv.sh DIR}
python3 -m venv "$dir"
"$dir/bin/pip" install --quiet 'prometheus_client==0.26.0'
