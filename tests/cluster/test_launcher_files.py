"""The files under cluster/ that start clusters, held against the schemas and command lines that read them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from toprung.search.arguments import build_parser

CLUSTER = Path(__file__).parents[2] / "cluster"
LAUNCHERS = ["on_premises.yaml", "aws.yaml", "gcp.yaml"]
EXTRAS = tomllib.loads((CLUSTER.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# Custom resource definitions of KubeRay v1.7.0 (Apache-2.0), version v1, cut to the fields that the manifests use;
# a field that they do not use is `true`.
KUBERAY = json.loads((Path(__file__).parent / "kuberay_schemas.json").read_text())


def read(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((CLUSTER / name).read_text()))


def head_comment(name: str) -> list[str]:
    """The commands in the comment at the top of a file."""
    lines = (CLUSTER / name).read_text().splitlines()
    top = lines[: next(n for n, line in enumerate(lines) if line.strip() and not line.startswith("#"))]
    return [re.split(r"\s{2,}#", line[1:])[0].strip() for line in top if re.match(r"#   \S", line)]


def installed_extras(command: str) -> set[str]:
    """The extras in a `pip install 'PATH[extra,extra]'`."""
    return {extra for found in re.findall(r"\[([a-z,-]+)\]", command) for extra in found.split(",")}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_ray_up_takes_the_launcher_file(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(read(name))
    validate_config(prepared)
    workers = [kind for kind in prepared["available_node_types"] if kind != prepared["head_node_type"]]
    assert workers or prepared["max_workers"] == len(prepared["provider"]["worker_ips"])


@pytest.mark.parametrize("name", LAUNCHERS)
def test_the_head_trains_nothing_and_all_nodes_ask_for_the_token(name: str) -> None:
    launcher = read(name)
    (start_head,) = [command for command in launcher["head_start_ray_commands"] if " start " in command]
    (start_worker,) = [command for command in launcher["worker_start_ray_commands"] if " start " in command]
    assert "--num-cpus=0" in start_head and "--autoscaling-config=~/ray_bootstrap_config.yaml" in start_head
    for command in (start_head, start_worker):
        assert "RAY_AUTH_MODE=token ~/toprung-venv/bin/ray start" in command
    assert launcher["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in launcher["setup_commands"]


@pytest.mark.parametrize("name", LAUNCHERS)
def test_the_shell_commands_of_a_launcher_file_are_well_formed(name: str) -> None:
    launcher = read(name)
    commands = [command for key, value in launcher.items() if key.endswith("_commands") for command in value]
    assert len(commands) >= 6
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)


@pytest.mark.parametrize("name", LAUNCHERS)
def test_workers_get_the_libraries_of_the_gpu(name: str) -> None:
    launcher = read(name)
    installs = [*launcher["setup_commands"], *launcher.get("worker_setup_commands", [])]
    installed = {
        extra for command in installs if "pip install" in command for extra in installed_extras(command)
    }
    assert {"cluster", "gpu"} <= installed <= set(EXTRAS)


OURS = re.compile(r"(?:^|-- |submit\.py |slurm\.sbatch |')(?:toprung )?((?:search|status|retrain) [^']*)'?$")


def check_commands(commands: list[str]) -> None:
    """Parse each command as Ray's and toprung's own command lines do; one of them searches."""
    from ray.scripts.scripts import cli

    assert any(OURS.search(command) for command in commands)
    for command in commands:
        if ray := re.search(
            r"\bray ((?:up|down|exec|submit|rsync-up|dashboard|job|get-auth-token)\b[^>]*)", command
        ):
            first, *arguments = shlex.split(ray[1].rstrip(")"))
            program = cli.commands[first]
            if first == "job":
                program = program.commands[arguments.pop(0)]  # type: ignore[attr-defined]
            program.make_context(first, arguments)
        if found := OURS.search(command):
            build_parser().parse_args(shlex.split(found[1]))


@pytest.mark.parametrize("name", [*LAUNCHERS, "kuberay_cluster.yaml", "ray_job.yaml", "slurm.sbatch"])
def test_the_commands_in_the_head_comment_parse(name: str) -> None:
    check_commands(head_comment(name))


def test_the_command_in_the_docstring_of_the_submitted_script_parses() -> None:
    check_commands(
        re.findall(r"^    (ray submit .*)$", (CLUSTER / "submit.py").read_text(), flags=re.MULTILINE)
    )


def test_the_commands_of_the_readme_parse() -> None:
    readme = (CLUSTER.parent / "README.md").read_text()
    section = readme[readme.index("## On a cluster") : readme.index("## How it is built")]
    commands = [line for line in section.splitlines() if re.match(r"\(?(?:ray|umask) ?", line)]
    assert len(commands) >= 8
    check_commands(commands)


def test_a_ray_jobs_runtime_environment_has_the_fields_that_ray_knows() -> None:
    from ray.runtime_env import RuntimeEnv

    assert RuntimeEnv(**read("ray_job.yaml"))["excludes"]


@pytest.mark.parametrize("name", ["kuberay_cluster.yaml", "kuberay_job.yaml"])
def test_the_operator_takes_the_manifest(name: str) -> None:
    manifest = read(name)
    jsonschema.validate(manifest, KUBERAY[manifest["kind"]])
    spec = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert spec["authOptions"] == {"mode": "token"}
    (worker,) = spec["workerGroupSpecs"][0]["template"]["spec"]["containers"]
    assert worker["resources"]["limits"] == worker["resources"]["requests"]


def test_a_misspelt_field_of_a_manifest_is_refused() -> None:
    manifest = read("kuberay_cluster.yaml")
    manifest["spec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(manifest, KUBERAY["RayCluster"])


def test_job_and_cluster_of_kubernetes_start_the_same_nodes() -> None:
    cluster, job = read("kuberay_cluster.yaml")["spec"], read("kuberay_job.yaml")["spec"]["rayClusterSpec"]
    del cluster["autoscalerOptions"]
    assert job == cluster


def test_the_manifests_name_the_ray_of_the_images() -> None:
    constraints = (CLUSTER / "constraints.txt").read_text().splitlines()
    assert f"ray=={read('kuberay_cluster.yaml')['spec']['rayVersion']}" in constraints


def test_the_images_are_those_that_the_manifests_name() -> None:
    dockerfile = (CLUSTER / "Dockerfile").read_text()
    targets = set(re.findall(r"^FROM base AS (\w+)$", dockerfile, flags=re.MULTILINE))
    assert targets == {"cpu", "gpu"}
    assert set(re.findall(r"REGISTRY/toprung:(\w+)", (CLUSTER / "kuberay_job.yaml").read_text())) == targets
    assert installed_extras(dockerfile) == {"cluster", "gpu"}


def test_the_image_that_serves_installs_pinned_packages_and_leaves_out_what_only_a_search_needs() -> None:
    serving = (CLUSTER / "Dockerfile").read_text().partition("AS serve\n")[2].replace("\\\n", " ")
    command = re.search(r"pip install -c cluster/constraints.txt (.+)", serving)
    assert command is not None
    packages = set(command.group(1).split())
    pinned = {line.split("==")[0].lower() for line in (CLUSTER / "constraints.txt").read_text().splitlines()}
    assert packages <= pinned and {"tensorflow-cpu", "keras", "mlflow"} <= packages
    assert not packages & {"ray", "optuna", "cmaes", "obstore", "boto3", "tensorflow"}


def test_the_extras_for_gpus_are_pinned() -> None:
    pinned = {line.split("==")[0] for line in (CLUSTER / "constraints.txt").read_text().splitlines()}
    assert {
        "tensorflow",
        "nvidia-cudnn-cu12",
        "nvidia-cublas-cu12",
        "jax-cuda12-plugin",
        "jax-cuda12-pjrt",
    } <= pinned
    assert EXTRAS["gpu"] == ["tensorflow[and-cuda]>=2.21,<3; sys_platform == 'linux'"]
    assert EXTRAS["gpu-jax"][0].startswith("jax[cuda12]")


def test_the_batch_script_is_well_formed() -> None:
    script = str(CLUSTER / "slurm.sbatch")
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)
