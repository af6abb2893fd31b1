#!/bin/sh
# with_server.sh SERVER CLIENT: starts the server on a fresh folder and a Unix socket in it, runs the
# client with that address, and ends the server with SIGTERM, which must succeed. For tests of the
# client examples; leaves with the client's status.
set -eu
folder=$(mktemp -d)
trap 'kill -KILL "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
"$1" --data "$folder/data" --listen "unix:$folder/socket" --http none &
server=$!
tries=0
until [ -S "$folder/socket" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 200 ] || ! kill -0 "$server"; then
    echo "with_server.sh: the server did not start" >&2
    exit 1
  fi
  sleep 0.05
done
"$2" "unix:$folder/socket"
kill -TERM "$server"
wait "$server"
