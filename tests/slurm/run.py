"""A study through a real Slurm on this machine, with jobs taken away on the way, against a local run: every byte must agree.

    python tests/slurm/run.py          as root on Debian or Ubuntu, in the project's environment; .ci/run does it --where-possible

Slurm comes from the distribution's packages and is installed if it is not there. Its three daemons (munged, slurmctld, slurmd) have
keys, sockets and logs in a temporary folder, listen on ports of their own on loopback, and are stopped at the end; /etc/slurm/slurm.conf
is a link to their configuration for as long as they run. While a segment trains, its Slurm job is requeued (scontrol requeue), and then
that of another one is cancelled (scancel), so that Snakemake submits it again; both must go on from a saved state.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

from tiny_study import Workplace, tiny_study  # noqa: E402

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
PACKAGES = ("slurm-wlm", "munge")
CONFIGURED = Path("/etc/slurm/slurm.conf")
"""The plugin's jobs call srun without SLURM_CONF, so the configuration must stand where Slurm looks for it."""

PATIENCE = 1800
"""Seconds to wait for anything."""

CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=300
KillWait=3
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the folder with the daemons' logs and both results")
    parser.add_argument("--where-possible", action="store_true", help="elsewhere say why not, and end with status 0")
    arguments = parser.parse_args()
    obstacle = install()
    if obstacle and arguments.where_possible:
        return say(f"left out: the study through Slurm; {obstacle}")
    if obstacle:
        sys.exit(f"error: {obstacle}; run this in a container with Debian or Ubuntu.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the daemons are stopped too
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    try:
        study = tiny_study()
        study["protocol"] |= {"epochs": 50, "width": 4}
        study["variants"] |= dict.fromkeys(("lr_0.1", "epoch_res_start", "epoch_res_late"))
        study["variants"]["batch_res_late"] = {"shortcut": {"onset": 45}}
        study["seeds"] = [0, 1]  # two long segments at once, of which each loses its job
        by_slurm = Workplace(folder / "by_slurm", study, preloaded=False)  # a job is no child of Snakemake
        with slurm(folder / "daemons"):
            train_by_slurm(by_slurm)
        say("the same study without Slurm")
        locally = Workplace(folder / "locally", study, preloaded=False)
        locally.run("records", cores=2)
        compare(by_slurm.files(), locally.files())
    finally:
        if arguments.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


def install() -> str | None:
    """Install the packages unless their programs are there; what is in the way, if anything. They must not start daemons of their own."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "it needs root, and apt-get"
    if CONFIGURED.exists():
        return f"{CONFIGURED} is there, so this machine belongs to a cluster"
    if all(shutil.which(command) for command in COMMANDS):
        return None
    say(f"installing {' '.join(PACKAGES)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            return f"apt-get {command[0]} failed ({done.stderr.strip().rpartition(chr(10))[2]})"
    return None


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A Slurm cluster of one node, this machine."""
    folder.parent.chmod(0o755)
    for name in ("", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    configuration = folder / "slurm.conf"
    host = socket.gethostname().split(".")[0]
    controller_port, node_port = free_ports(2)
    values: dict[str, Any] = {"folder": folder, "host": host, "controller_port": controller_port}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    values |= {"node_port": node_port, "cpus": os.cpu_count(), "memory": memory}
    configuration.write_text(CONFIGURATION.format(**values))
    CONFIGURED.parent.mkdir(exist_ok=True)
    CONFIGURED.unlink(missing_ok=True)  # a dangling link, left by a run that was killed
    CONFIGURED.symlink_to(configuration)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    munge = {
        "socket": "munge.socket",
        "key-file": key.name,
        "seed-file": "munge.seed",
        "pid-file": "munge.pid",
        "log-file": "munge.log",
    }
    options = [f"--{option}={folder / name}" for option, name in munge.items()]
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        daemons.append(start(folder, "munged", "--foreground", "--force", *options))
        wait_for((folder / "munge.socket").exists, "munged")
        daemons.append(start(folder, "slurmctld", "-D"))
        daemons.append(start(folder, "slurmd", "-D", "-N", host))
        wait_for(lambda: "idle" in output("sinfo", "--noheader", "--format=%T"), "an idle node")
        say(f"Slurm runs: {output('sinfo', '--version').strip()}, one node, {os.cpu_count()} processors")
        yield
    except (OSError, subprocess.CalledProcessError):
        for log in sorted(folder.glob("*.output.log")):
            print(f"--- {log}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise
    finally:
        output("scancel", "--full", "--signal=KILL", "--user=root")
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in reversed(daemons):
            daemon.wait(timeout=60)
        CONFIGURED.unlink()
        say("Slurm is stopped")


def start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    log = (folder / f"{command[0]}.output.log").open("wb")
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def train_by_slurm(workplace: Workplace) -> None:
    """Run the study through Slurm; the first segment is requeued while it trains, a second one cancelled."""
    quick = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "3")
    options = (*quick, "--slurm-status-command", "squeue", "--jobs", "4")
    command = [part for part in workplace.command("records", options=options) if part not in ("--cores", "2")]
    log = workplace.folder / "snakemake.log"
    with log.open("wb") as file:
        snakemake = subprocess.Popen(
            command, cwd=workplace.folder, env=workplace.environment(), stdout=file, stderr=file
        )
    try:
        taken: list[str] = []
        for take in (("scontrol", "requeue"), ("scancel",)):
            state, job = training_job(workplace, taken, snakemake)
            taken.append(state)
            subprocess.run([*take, job], check=True)
            say(f"{' '.join(take)} {job}: segment {state}")
        status = snakemake.wait(timeout=PATIENCE)
    finally:
        if snakemake.poll() is None:
            snakemake.send_signal(signal.SIGINT)  # it cancels its jobs
            snakemake.wait()
    text = log.read_text(errors="replace")
    if status != 0:
        sys.exit(f"Snakemake failed:\n{text[-5000:]}")
    jobs = len(set(re.findall(r"SLURM jobid '?(\d+)", text)))
    say(f"the study is done, by {jobs} Slurm jobs")
    for state in taken:
        segment = (workplace.folder / "work" / "logs" / "segment" / f"{state}.log").read_text()
        found = re.search(r"^going on from .*$", segment, re.MULTILINE)
        if not found:
            sys.exit(f"segment {state} was taken away, but did not go on from a saved state:\n{segment}")
        say(f"segment {state}: {found[0]}")


def training_job(workplace: Workplace, but: list[str], snakemake: subprocess.Popen[bytes]) -> tuple[str, str]:
    """A segment that trains, has saved a state and is not soon done, and its Slurm job."""
    found: list[tuple[str, str]] = []

    def look() -> bool:
        if snakemake.poll() is not None:
            sys.exit(
                f"Snakemake ended early:\n{(workplace.folder / 'snakemake.log').read_text(errors='replace')[-5000:]}"
            )
        saved = {path.parent.name for path in workplace.folder.glob("work/segments/*/epoch00000?-*.state")} - set(but)
        for line in output("squeue", "--noheader", "--states=RUNNING", "--format=%i %k").splitlines():
            job, comment = line.split(maxsplit=1)
            found.extend((state, job) for state in saved if state in comment)
        return bool(found)

    wait_for(look, "a segment that trains", every=0.1)
    return found[0]


def compare(ours: dict[str, bytes], theirs: dict[str, bytes]) -> None:
    different = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    if different or not ours:
        sys.exit(f"{len(different)} of {len(theirs)} files differ: {', '.join(different)}")
    records = sum(name.startswith("records/") and name.endswith(".csv") for name in ours)
    say(f"all {len(ours)} files of the results are equal byte for byte, {records} records among them")


def wait_for(condition: Any, what: str, every: float = 0.5) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE} s in vain for {what}")
        time.sleep(every)


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    program()
