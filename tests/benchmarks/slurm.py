"""The batch script `cluster/slurm.sbatch` under a real Slurm: a search, interrupted before its time is up and submitted
again, and a retraining, each as a batch job on two nodes.

    apt-get install slurmctld slurmd munge
    python tests/benchmarks/slurm.py

The nodes are Linux namespaces with addresses and processes of their own (root only), each with a `slurmd`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))
import hosts  # noqa: E402

PROGRAMS = ("/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/sbin/munged", "sbatch")
SLURM = """
ClusterName=toprung
SlurmctldHost=head({head})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
{nodes}
PartitionName=all Nodes=one,two Default=YES State=UP
"""
JOB = """
name: batch
data: digits
search: {{trials: 12, max_epochs: 60, min_epochs: 60}}
space: {{name: cnn, fixed: {{blocks: 1, filters: 8, convs_per_block: 1, batch_size: 64}}}}
resources: {{gpus: 0}}
storage: {{path: "{runs}"}}
tracking: {{enabled: false}}
"""


class Slurm:
    """A controller and two nodes of one core."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._switch = hosts.Switch()
        self.head = self._switch.host("head")
        nodes = [self._switch.host(name) for name in ("one", "two")]
        lines = [f"NodeName={node.name} NodeAddr={node.address} CPUs=1 State=UNKNOWN" for node in nodes]
        (folder / "slurm.conf").write_text(
            SLURM.format(head=self.head.address, folder=folder, nodes="\n".join(lines))
        )
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        for name in ("state", "spool.one", "spool.two"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        self.env = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "TOPRUNG_VENV": sys.prefix}
        names = {
            "key-file": "key",
            "socket": "socket",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }
        files = [f"--{option}={folder}/munge.{name}" for option, name in names.items()]
        self._nodes, self._munge = nodes, ["/usr/sbin/munged", "--foreground", "--force", *files]

    def start(self) -> None:
        """Start the daemons and wait until the nodes are there."""
        folder = self.folder
        self.head.start(self._munge, self.env, folder / "munge.out")
        time.sleep(1)
        self.head.start(["/usr/sbin/slurmctld", "-D"], self.env, folder / "slurmctld.log")
        for node in self._nodes:
            node.start(["/usr/sbin/slurmd", "-D", "-N", node.name], self.env, folder / f"{node.name}.log")
        self._wait_for_nodes()

    def batch(self, *arguments: str, interrupt_after_secs: float | None = None) -> str:
        """Submit the script as a job on both nodes, wait for its end, return its output and how long it took."""
        out, began = self.folder / "job.out", time.monotonic()
        command = ["sbatch", "--parsable", "--nodes=2", "--cpus-per-task=1", f"--output={out}",
                   str(ROOT / "cluster" / "slurm.sbatch"), *arguments]  # fmt: skip
        number = self._ask(*command).strip()
        while state := self._ask(
            "squeue", "--noheader", "--format=%T", f"--jobs={number}", "--states=all"
        ).strip():
            if state not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"):
                break
            if interrupt_after_secs and time.monotonic() - began > interrupt_after_secs:
                interrupt_after_secs = None
                self._ask("scancel", "--batch", "--signal=TERM", number)
            time.sleep(1)
        return f"{state} after {time.monotonic() - began:.0f} s\n{out.read_text()}"

    def close(self) -> None:
        """End the nodes."""
        self._switch.close()

    def _wait_for_nodes(self, secs: float = 60) -> None:
        deadline = time.monotonic() + secs
        while (states := self._ask("sinfo", "--noheader", "--Node", "--format=%t").split()) != [
            "idle",
            "idle",
        ]:
            if time.monotonic() > deadline:
                logs = [path.read_text()[-1500:] for path in self.folder.glob("*.log")]
                raise SystemExit(f"the nodes are {states}:\n" + "\n".join(logs))
            time.sleep(1)

    def _ask(self, *command: str) -> str:
        return self.head.run(command, self.env, cwd=self.folder).stdout


@contextmanager
def slurm() -> Iterator[Slurm]:
    """A running Slurm."""
    folder = Path(tempfile.mkdtemp(prefix="s", dir="/tmp"))
    running = Slurm(folder)
    try:
        running.start()
        yield running
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    import pandas as pd

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the nodes are closed then too
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if reason := (f"needs {', '.join(missing)}" if missing else hosts.why_no_hosts()):
        raise SystemExit(f"no Slurm here: {reason}")
    print(subprocess.run([PROGRAMS[1], "-V"], capture_output=True, text=True, check=True).stdout.strip())
    with slurm() as running:
        job, run = running.folder / "batch.yaml", running.folder / "runs" / "batch"
        job.write_text(JOB.format(runs=run.parent))
        print(running.batch("search", str(job), interrupt_after_secs=40))
        before = pd.read_parquet(run / "epochs")
        print(running.batch("search", str(job)))
        trials, epochs = (pd.read_parquet(run / name) for name in ("trials", "epochs"))
        print(f"{len(before)} epochs when interrupted, {len(epochs)} in the end, "
              f"{int(epochs.duplicated(['trial_id', 'epoch']).sum())} doubled")  # fmt: skip
        print(f"trials by node: {trials['worker_node'].value_counts().to_dict()}")
        print(running.batch("retrain", str(run)))
        left = [path.name for path in running.folder.glob(".toprung-ray-*")]
        print(f"left in the folder of the jobs: {left or 'nothing'}")


if __name__ == "__main__":
    main()
