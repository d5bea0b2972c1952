"""The agent's unit file: what systemd runs, watches, and keeps it from.

It runs as root without what makes root dangerous: it may change owners and modes (the box's files belong to `pi`), and
write where it must. The clock is read (adjtimex) and not set: CAP_SYS_TIME is not among the capabilities, while
`ProtectClock` would forbid reading it too. `MemoryDenyWriteExecute` stays off for ctypes.
"""

import re
from pathlib import Path
from string import Template
from typing import Final

from reconciler_agent.errors import SettingsInvalid

UNIT: Final = "neopro-sync-agent"
"""The name that the Node agent had: scripts in the field go on working."""
UNIT_PATH: Final = f"/etc/systemd/system/{UNIT}.service"
_PLAIN: Final = re.compile(r"/[A-Za-z0-9._+/-]*")
_TEXT: Final = Template("""\
# Written by `neopro-agent install`; change it with `systemctl edit $unit`.
[Unit]
Description=NEOPRO Fleet agent
After=local-fs.target network.target
RequiresMountsFor=$root $state
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=$program --conf $conf run
Restart=always
RestartSec=15
TimeoutStartSec=120
TimeoutStopSec=90
WatchdogSec=300
SyslogIdentifier=$unit
UMask=0077

# What the box plays comes first.
Nice=10
CPUWeight=20
IOWeight=20

# Only the box's root, the agent's own folders and the hotspot's profile can be written; what Python compiles goes to
# memory.
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=-$root -$state -/opt/neopro-agent/slots
ReadWritePaths=-/etc/NetworkManager/system-connections
RuntimeDirectory=neopro-agent
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes

CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER
AmbientCapabilities=
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectProc=invisible
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service adjtimex clock_adjtime
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
""")


def unit_text(*, program: Path, conf: Path, root: Path, state: Path) -> str:
    """The unit that runs `program` on the box at `root`; SettingsInvalid for a path that a unit cannot simply name."""
    paths = {"program": program, "conf": conf, "root": root, "state": state}
    for path in paths.values():
        if not _PLAIN.fullmatch(str(path)):
            raise SettingsInvalid(f"cannot name {str(path)!r} in a unit: use letters, digits and . _ + - / alone")
    return _TEXT.substitute(paths, unit=UNIT)
