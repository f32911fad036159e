#!/usr/bin/env bash
# Runs the conformance list against the sandbox and against ministack, and prints the table.
#
# ministack (PyPI, MIT) goes into a virtual environment of its own under target/, listens on a free
# port of the loopback, and is stopped at the end. It is not part of the product.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.5.33
home=target/conformance
python=${PYTHON:-python3}

mkdir -p "$home"
if ! "$home/venv/bin/python" -c "import importlib.metadata as m; assert m.version('ministack') == '$version'" 2>/dev/null; then
    rm -rf "$home/venv"
    "$python" -m venv "$home/venv"
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check "ministack==$version"
fi

# Built first, so that the other server does not wait for a compiler.
cargo test --locked --package severance-tests --test conformance --no-run

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
endpoint="http://127.0.0.1:$port"
log="$home/ministack.log"

AUTH=true BIND_HOST=127.0.0.1 GATEWAY_PORT="$port" \
    AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 \
    "$home/venv/bin/python" -m ministack >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT

started=no
for _ in $(seq 150); do
    kill -0 "$server" 2>/dev/null || break
    # Any answer will do: an unsigned request is refused, by a server that is up.
    if "$python" - "$endpoint" <<'PY' 2>/dev/null
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(sys.argv[1] + "/", timeout=1)
except urllib.error.HTTPError:
    pass
PY
    then
        started=yes
        break
    fi
    sleep 0.2
done
if [ "$started" != yes ]; then
    echo "ministack did not start; its log:" >&2
    tail -n 40 "$log" >&2
    exit 1
fi

SEVERANCE_CONFORMANCE_ENDPOINT="$endpoint" \
    SEVERANCE_CONFORMANCE_ACCESS_KEY_ID=test SEVERANCE_CONFORMANCE_SECRET_ACCESS_KEY=test \
    cargo test --locked --package severance-tests --test conformance -- --nocapture --test-threads=1
