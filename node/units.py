"""Writes the systemd units in configs/systemd from the pipeline page: one a worker, two targets, and the whole node.

``python -m node.units`` in the project's root writes them anew; ``systemd-analyze security`` judges their locks.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from node import pipeline, processes
from node.processes import ANYWHERE, BROKER, Row
from node.run import MALLOC
from node.supervisor import FINAL, RESTARTS_MAX, RESTARTS_SECONDS
from workers.stage import Stage

FOLDER = "configs/systemd"
PROGRAM = "/opt/hera/bin/hera"
ENVIRONMENT = "/etc/hera/hera.env"
OWN_ENVIRONMENT = "/etc/hera/{}.env"  # what only one worker is to know, such as the private key
TARGETS = {
    "hera.target": "Hera Starknet node that syncs from its peers",
    "hera-feeder.target": "Hera Starknet node that syncs from the feeder gateway and supplies its peers",
}
VERIFY_WORKERS = 2  # that the targets start; one a core is best
LOOP_WATCHDOG_SECONDS = 60  # broker and supervisor: their loops turn every second
PATIENCE = 1.25  # our own watchdog comes first: it says which block
_HEADER = (
    "# Written by `python -m node.units` from node/pipeline.py; your changes: `systemctl edit`.\n"
)
_OUTSIDE = frozenset(
    row.name for row in (pipeline.P2P, pipeline.FEEDER, pipeline.RPC, pipeline.METRICS)
)

# sched_setscheduler: without it libzmq aborts as it starts its threads; RestrictRealtime still keeps it in bounds
_LOCKS = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateMounts=yes
ProtectHostname=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
DevicePolicy=closed
KeyringMode=private
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=sched_setscheduler
SystemCallErrorNumber=EPERM
UMask=0077
LimitCORE=0
LimitNOFILE=65536
"""
_NO_PROC = "ProcSubset=pid\n"  # but for p2p: which interfaces there are is in /proc/net
_WITH_NETWORK = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
_WITHOUT_NETWORK = "PrivateNetwork=yes\nRestrictAddressFamilies=AF_UNIX\nIPAddressDeny=any\n"
_INSTALL = "\n[Install]\nWantedBy={}\n"
_WRITES = "StateDirectory=hera\nStateDirectoryMode=0700\n"


def texts() -> dict[str, str]:
    """Return every file by its path in the project."""
    found = {unit_name(row): _worker(row) for row in processes.every_row()}
    found |= {name: _target(name) for name in TARGETS}
    found |= {"hera-broker.service": _broker(), "hera.service": _node()}
    return {f"{FOLDER}/{name}": _HEADER + text for name, text in sorted(found.items())}


def unit_name(row: Row) -> str:
    """Return the unit of a row; the verify workers' is a template."""
    return f"hera-{row.name}{'@' if row is pipeline.VERIFY else ''}.service"


def wanted(target: str) -> tuple[str, ...]:
    """Return the units that a target starts; others (metrics, more of verify) are for ``systemctl enable``."""
    feeder = target == "hera-feeder.target"
    begin: tuple[Row, ...] = (
        (pipeline.FEEDER, pipeline.P2P)
        if feeder
        else (pipeline.P2P, *pipeline.FETCH, pipeline.ASSEMBLE)
    )
    verify = [f"hera-verify@{number}.service" for number in range(1, VERIFY_WORKERS + 1)]
    ending = (pipeline.COMMIT, pipeline.RPC)
    return (
        "hera-broker.service",
        *[unit_name(row) for row in begin],
        *verify,
        *[unit_name(row) for row in ending],
    )


def _worker(row: Row) -> str:
    instance = " --name verify-%i" if row is pipeline.VERIFY else ""
    after = ["hera-broker.service", *_next(row)]
    before = [unit_name(giver) for giver in _givers(row)] if row is pipeline.VERIFY else []
    unit = (
        f"Description=Hera: {row.name}{' %i' if row is pipeline.VERIFY else ''}\n"
        f"PartOf={' '.join(TARGETS)}\n"
        "Requires=hera-broker.service\n"
        f"After={' '.join(after)}\n" + (f"Before={' '.join(before)}\n" if before else "")
    )
    network = _WITH_NETWORK if row.name in _OUTSIDE else _WITHOUT_NETWORK
    locks = _LOCKS + network + ("" if row is pipeline.P2P else _NO_PROC)
    locks += "" if row.name in ANYWHERE else _WRITES
    watchdog = round(row.patience_s * PATIENCE)
    install = " ".join(TARGETS) if row in (pipeline.VERIFY, pipeline.METRICS) else ""
    words = f"worker {row.name}{instance}"
    return _service(unit, words, watchdog, locks, install, knows=(row.name,))


def _next(row: Row) -> Iterator[str]:
    """Yield the units behind a row on a block's way: started before it, they are stopped after it."""
    if not row.gives:
        yield unit_name(pipeline.COMMIT)
    for stage in pipeline.PIPELINE:
        if stage is not pipeline.VERIFY and set(stage.taken) & set(row.gives):
            yield unit_name(stage)


def _givers(row: Stage[object]) -> Iterator[Row]:
    """Yield the rows before a stage on a block's way."""
    return (each for each in processes.every_row() if row.takes in each.gives)


def _broker() -> str:
    unit = (
        "Description=Hera: broker, the queues between the workers\n"
        f"PartOf={' '.join(TARGETS)}\n"
        "After=network-online.target\n"
    )
    return _service(
        unit, BROKER, LOOP_WATCHDOG_SECONDS, _LOCKS + _WITH_NETWORK + _NO_PROC + _WRITES
    )


def _node() -> str:
    unit = (
        "Description=Hera Starknet node, all of it in one unit\n"
        "Conflicts=hera-broker.service\n"
        "Wants=network-online.target\n"
        # where one of the two stops and the other starts, systemd ends the first before it begins the second
        "After=network-online.target hera-broker.service\n"
    )
    # in the order of the page, not all at once; what is left then is killed together
    locks = "KillMode=mixed\nOOMPolicy=continue\n" + _LOCKS + _WITH_NETWORK + _WRITES
    return _service(
        unit, "run", LOOP_WATCHDOG_SECONDS, locks, "multi-user.target", knows=sorted(_OUTSIDE)
    )


def _service(
    unit: str,
    words: str,
    watchdog: int,
    locks: str,
    install: str = "",
    *,
    knows: Iterable[str] = (),
) -> str:
    own = "".join(f"EnvironmentFile=-{OWN_ENVIRONMENT.format(name)}\n" for name in knows)
    environment = " ".join(
        f"{name}={value}" for name, value in (MALLOC | {"HERA_DB_PATH": "%S/hera"}).items()
    )
    return f"""\
[Unit]
{unit}StartLimitIntervalSec={RESTARTS_SECONDS:.0f}
StartLimitBurst={RESTARTS_MAX}

[Service]
Type=notify
NotifyAccess=main
ExecStart={PROGRAM} {words}
Environment={environment}
EnvironmentFile={ENVIRONMENT}
{own}User=hera
Group=hera
Slice=hera.slice
Restart=on-failure
RestartSec=1
RestartPreventExitStatus={" ".join(map(str, sorted(FINAL)))}
WatchdogSec={watchdog}
TimeoutStartSec=90
TimeoutStopSec=30
{locks}{_INSTALL.format(install) if install else ""}"""


def _target(name: str) -> str:
    units = " ".join(wanted(name))
    return f"""\
[Unit]
Description={TARGETS[name]}
Wants=network-online.target
Wants={units}
After=network-online.target
{_INSTALL.format("multi-user.target")}"""


if __name__ == "__main__":
    for path, text in texts().items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
