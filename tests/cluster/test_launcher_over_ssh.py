"""`ray up`, `ray rsync-up`, `ray exec` and `ray submit` as a user types them: a laptop, a head and a worker that it
reaches by ssh, with the on-premises launcher file and a search through `cluster/submit.py`."""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("cluster_hosts", Path(__file__).parent / "hosts.py")
hosts = importlib.util.module_from_spec(_SPEC)  # type: ignore[arg-type]
sys.modules["cluster_hosts"] = hosts
_SPEC.loader.exec_module(hosts)  # type: ignore[union-attr]

SSHD = "/usr/sbin/sshd"
RAY_TEMP = Path("/tmp/ray")
JOB = """
name: digits
data: digits
search: {{trials: 2, max_epochs: 1}}
space: {{name: cnn, fixed: {{blocks: 1, filters: 16, convs_per_block: 1, batch_size: 64}}}}
resources: {{concurrent: 1}}
storage: {{path: "{runs}"}}
"""
WAIT_FOR_WORKER = (
    "import ray, time; ray.init('auto', log_to_driver=False)\n"
    "while not ray.cluster_resources().get('CPU'): time.sleep(0.5)"
)


def why_no_ssh() -> str | None:
    """Why this machine cannot run the test, None where it can."""
    missing = [name for name in (SSHD, "ssh", "ssh-keygen", "rsync") if shutil.which(name) is None]
    return f"needs {', '.join(missing)}" if missing else hosts.why_no_hosts()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(why_no_ssh()), reason=str(why_no_ssh())),
]


class Machine:
    """A host with a home folder and a folder for Ray of its own, and an ssh server where others log in."""

    def __init__(self, switch: hosts.Switch, name: str, folder: Path) -> None:
        self.folder = folder / name
        self.home = self.folder / "home"
        for part in ("home", "ray", "run/sshd"):
            (self.folder / part).mkdir(parents=True)
        self.host = switch.host(name)
        user = pwd.getpwuid(os.getuid())
        (self.folder / "passwd").write_text(
            f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}::{self.home}:/bin/bash\n"
            "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
        )
        # Ray takes the address of the default route as the node's own.
        done = self.host.run(
            ["sh", "-ec", f"ip route add default dev eth0; mount --bind {self.folder}/ray {RAY_TEMP}; "
             f"mount --bind {self.folder}/passwd /etc/passwd; mount --bind {self.folder}/run /run"],
            os.environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def serve_ssh(self, key: Path) -> None:
        options = {"HostKey": key, "AuthorizedKeysFile": f"{key}.pub", "StrictModes": "no", "UsePAM": "no",
                   "PidFile": "none", "PermitRootLogin": "prohibit-password"}  # fmt: skip
        settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        command = [SSHD, "-D", "-e", "-f", "/dev/null", *settings]
        self.host.start(command, {"PATH": os.environ["PATH"]}, self.folder / "sshd.log")


class Laptop(Machine):
    """The machine from which the user types the commands, in the root of a checkout."""

    def write_launcher_file(self, head: Machine, worker: Machine, key: Path) -> None:
        """The on-premises file with the addresses of the test; the environment of the tests is the one installed."""
        launcher = yaml.safe_load((ROOT / "cluster" / "on_premises.yaml").read_text())
        # Ray keeps ssh connections in a folder of that name under /tmp, where those of a killed run would hang.
        launcher["cluster_name"] = f"toprung-{secrets.token_hex(4)}"
        launcher["provider"].update(head_ip=head.host.address, worker_ips=[worker.host.address])
        launcher["auth"] = {"ssh_user": pwd.getpwuid(os.getuid()).pw_name, "ssh_private_key": str(key)}
        others = [c for c in launcher["setup_commands"] if "-m venv" not in c and "pip install" not in c]
        launcher["setup_commands"] = [f"ln -sfn {sys.prefix} ~/toprung-venv", *others]
        assert len(others) == len(launcher["setup_commands"]) - 1 == 2
        self.launcher = self.folder / "launcher.yaml"
        self.launcher.write_text(yaml.safe_dump(launcher, sort_keys=False))
        token = self.home / ".ray" / "auth_token"
        token.parent.mkdir()
        token.write_text(secrets.token_hex(32))

    def ray(self, command: str, *arguments: str) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.folder),
            "LANG": "C.UTF-8",
        }
        program = [sys.executable, "-m", "ray.scripts.scripts", command]
        done = self.host.run([*program, *arguments], env, timeout_secs=240, cwd=ROOT)
        assert done.returncode == 0, f"ray {command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return str(done.stdout)


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    RAY_TEMP.mkdir(exist_ok=True)
    switch = hosts.Switch()
    try:
        head, worker = (Machine(switch, name, tmp_path) for name in ("head", "worker"))
        for machine in (head, worker):
            machine.serve_ssh(key)
        laptop = Laptop(switch, "laptop", tmp_path)
        laptop.write_launcher_file(head, worker, key)
        yield laptop
    finally:
        switch.close()


def test_a_search_is_submitted_from_a_laptop(laptop: Laptop, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB.format(runs=tmp_path / "runs"))
    launcher = str(laptop.launcher)

    laptop.ray("up", "-y", launcher)
    laptop.ray("rsync-up", launcher, str(tmp_path / "job.yaml"), "job.yaml")
    laptop.ray("exec", launcher, f'python -c "{WAIT_FOR_WORKER}"')
    shown = laptop.ray("submit", launcher, "cluster/submit.py", "search", "job.yaml")

    assert "toprung retrain" in shown
    trials = pd.read_parquet(tmp_path / "runs" / "digits" / "trials")
    assert list(trials["outcome"]) == ["COMPLETED"] * 2 and set(trials["worker_node"]) == {"worker"}
    for machine in ("head", "worker"):
        token = tmp_path / machine / "home" / ".ray" / "auth_token"
        assert token.stat().st_mode & 0o777 == 0o600, "no other user of the machine reads the token"
