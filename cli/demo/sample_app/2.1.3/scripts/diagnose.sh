#!/bin/sh
# Says in one line whether the applications of this box answer.
set -eu
root="${NEOPRO_DIR:-/home/pi/neopro}"
for url in "http://127.0.0.1:${APP_PORT:-3000}/" "http://127.0.0.1:${ADMIN_PORT:-8080}/api/auth/status"; do
    curl -fsS --max-time 5 "$url" >/dev/null && echo "ok   $url" || echo "FAIL $url"
done
echo "release $(cat "$root/VERSION")"
