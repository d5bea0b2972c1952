# A real NetworkManager of its own: namespaces for network and files, its own bus; then the command that is given.
# Used by tests/integration/test_network_manager.py as root: unshare -n -m bash network_manager.sh FOLDER COMMAND…
set -eu
profiles=$1; shift
mount --make-rprivate /
mount -t tmpfs run /run
mount -t tmpfs state /var/lib/NetworkManager
mkdir -p /run/dbus /run/NetworkManager
mount --bind "$profiles" /etc/NetworkManager/system-connections
ip link set lo up
dbus-daemon --system --nofork --nopidfile &
bus=$!
while [ ! -S /run/dbus/system_bus_socket ]; do read -rt 0.1 <> <(:) || true; done
NetworkManager --no-daemon --log-level=INFO >"$profiles.log" 2>&1 &
manager=$!
for _ in $(seq 100); do [ "$(nmcli --terse --fields STARTUP general 2>/dev/null)" = started ] && break; read -rt 0.1 <> <(:) || true; done
status=0
"$@" || status=$?
kill $manager $bus
exit $status
