#!/bin/bash
# boot.sh LOWER STATE: run a real systemd as PID 1 over LOWER, which is not changed; a reboot boots again. Root alone.
# STATE/pid: the manager from outside; STATE/upper: what the machine wrote; STATE/exits: 129 a reboot, 130 switched off.
set -u
lower=$1; state=$2
mkdir -p "$state"/{upper,work,machine}; : > "$state/exits"
cat > "$state/inner.sh" <<'INNER'
set -e
mount --make-rprivate /
m=$STATE/machine
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$STATE/upper,workdir=$STATE/work" "$m"
mount -t proc proc "$m/proc"
mount -t sysfs sysfs "$m/sys"
mount -t tmpfs tmpfs "$m/run" -o mode=755
mount -t tmpfs tmpfs "$m/tmp"
mount -t tmpfs tmpfs "$m/dev" -o mode=755
for device in null zero full random urandom tty; do touch "$m/dev/$device"; mount --bind "/dev/$device" "$m/dev/$device"; done
ln -s /proc/self/fd "$m/dev/fd"; ln -s pts/ptmx "$m/dev/ptmx"; mkdir "$m/dev/pts" "$m/dev/shm"
mount -t devpts devpts "$m/dev/pts" -o newinstance,ptmxmode=0666,mode=620
mount -t tmpfs tmpfs "$m/dev/shm"
if [ -z "$CONTROLLERS" ] && [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$m/sys/fs/cgroup"
else
  mount -t tmpfs tmpfs "$m/sys/fs/cgroup" -o mode=755
  mkdir "$m/sys/fs/cgroup/systemd" "$m/sys/fs/cgroup/unified"
  mount -t cgroup -o none,name=systemd cgroup "$m/sys/fs/cgroup/systemd"
  for controller in $CONTROLLERS; do
    mkdir "$m/sys/fs/cgroup/$controller"; mount -t cgroup -o "$controller" cgroup "$m/sys/fs/cgroup/$controller"
  done
  mount -t cgroup2 cgroup2 "$m/sys/fs/cgroup/unified"
fi
cat /proc/sys/kernel/random/uuid > "$m/run/.boot_id"
mount --bind "$m/run/.boot_id" "$m/proc/sys/kernel/random/boot_id"
ip link set lo up
cd "$m"; mkdir -p .old; pivot_root . .old; cd /; umount -l /.old
hostname box-under-test
exec env -i container=neopro-test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  /lib/systemd/systemd --unit=basic.target --log-level=warning --log-target=console --show-status=false
INNER
groups=(); controllers=
while IFS=: read -r _ names path; do
  case $names in
    "") group=/sys/fs/cgroup/unified$path; [ -d "$group" ] || group=/sys/fs/cgroup$path ;;
    name=systemd) group=/sys/fs/cgroup/systemd$path ;;
    *) group=/sys/fs/cgroup/$names$path; controllers="$controllers $names" ;;
  esac
  group=${group%/}/neopro-$$
  mkdir -p "$group" || continue
  groups+=("$group")
  case $names in cpuset)
    cat "${group%/*}/cpuset.cpus" > "$group/cpuset.cpus"; cat "${group%/*}/cpuset.mems" > "$group/cpuset.mems" ;;
  esac
done < /proc/self/cgroup
export STATE=$state LOWER=$lower CONTROLLERS=$controllers
while :; do
  (
    for group in "${groups[@]}"; do echo "$BASHPID" > "$group/cgroup.procs"; done
    exec unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child bash "$state/inner.sh"
  ) > "$state/console.log" 2>&1 &
  outer=$!
  while kill -0 $outer 2>/dev/null; do
    inner=$(tr -d ' ' < "/proc/$outer/task/$outer/children" 2>/dev/null) && [ -n "$inner" ] && break
    sleep .01
  done
  echo "$inner" > "$state/pid.new"; mv "$state/pid.new" "$state/pid"
  wait $outer; code=$?
  echo "$code" >> "$state/exits"
  [ $code = 129 ] || break
done
for group in "${groups[@]}"; do find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null; done
