"""docs/cluster: that KubeRay would take the manifests, and that they, the image and the jobs agree. Nothing is run."""

from __future__ import annotations

import copy
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import jsonschema
import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from rl_recsys.console.command import read_flags
from tests.cluster.kuberay_schema import KUBERAY, SCHEMAS
from tests.jobs.test_jobs import job_module

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "docs" / "cluster"
MANIFESTS = sorted(path.name for path in CLUSTER.glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROOMS = ("algorithms", "envs", "jobs", "policies", "rl_recsys")
ABSENT = object()


class OnceLoader(yaml.SafeLoader):
    """YAML where a key may come once, as in Kubernetes; PyYAML takes the last."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"twice in one object: {keys}"
        return super().construct_mapping(node, deep)


def manifest(name: str) -> dict:
    return yaml.load((CLUSTER / name).read_text(), OnceLoader)


def faults(document: dict) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMAS[document["kind"]])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def spec_of(name: str) -> dict:
    """The cluster that a manifest describes."""
    spec = manifest(name)["spec"]
    return spec["rayClusterSpec"] if name == "rayjob.yaml" else spec


def pods(spec: dict) -> dict[str, dict]:
    """The pod template of each group."""
    workers = {group["groupName"]: group["template"] for group in spec["workerGroupSpecs"]}
    return {"head": spec["headGroupSpec"]["template"], **workers}


def container(pod: dict) -> dict:
    (only,) = pod["spec"]["containers"]
    return only


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, with what they are given, on one line each."""
    text = re.sub(r"^\s*#.*\n", "", (CLUSTER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line]


def commands(text: str) -> list[list[str]]:
    """The jobs' command lines in a text: the job's name and its flags."""
    found = re.findall(r"python jobs/(\w+)\.py((?: \\\n|[^\n#])*)", text)
    return [[name, *shlex.split(flags.replace("\\\n", " "))] for name, flags in found]


def parsed(command: list[str]):
    name, *flags = command
    return read_flags(job_module(name).Arguments, "", flags)


def entrypoint():
    (command,) = commands(manifest("rayjob.yaml")["spec"]["entrypoint"])
    assert command[0] == "ppo"
    return parsed(command)


CLUSTERS = pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml"])


@pytest.mark.parametrize("name", MANIFESTS)
def test_kuberay_would_take_a_manifest(name):
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert faults(manifest(name)) == []


GROUP = ("spec", "workerGroupSpecs", 0)
POD = (*GROUP, "template", "spec")
CONTAINER = (*POD, "containers", 0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # misspelt
        (("spec", "workerGroupSpec"), [], "'workerGroupSpec' was unexpected"),
        ((*GROUP, "minReplica"), 1, "'minReplica' was unexpected"),
        ((*CONTAINER, "volumeMount"), [], "'volumeMount' was unexpected"),
        ((*POD, "nodeSelectors"), {}, "'nodeSelectors' was unexpected"),
        (("spec", "autoscalerOptions", "idleTimeoutSecond"), 1, "'idleTimeoutSecond' was unexpected"),
        (("metadata", "label"), {}, "'label' was unexpected"),
        # of another type
        ((*GROUP, "minReplicas"), "4", "'4' is not of type 'integer'"),
        ((*GROUP, "minReplicas"), True, "True is not of type 'integer'"),
        ((*GROUP, "rayStartParams", "num-cpus"), 4, "4 is not of type 'string'"),
        ((*GROUP, "template", "metadata", "annotations", "prometheus.io/port"), 8080, "8080 is not of type 'string'"),
        (("spec", "enableInTreeAutoscaling"), "true", "'true' is not of type 'boolean'"),
        (("spec", "rayVersion"), 2.6, "2.6 is not of type 'string'"),
        (("spec", "workerGroupSpecs"), {}, "{} is not of type 'array'"),
        # out of range
        ((*GROUP, "maxReplicas"), -1, "-1 is less than the minimum of 0"),
        ((*CONTAINER, "ports", 0, "containerPort"), 80800, "80800 is greater than the maximum of 65535"),
        ((*CONTAINER, "resources", "limits", "memory"), "12GB", "'12GB' is not valid"),
        (("metadata", "name"), "rl_recsys", "'rl_recsys' does not match"),
        (("metadata", "name"), "r" * 54, "is too long"),
        ((*POD, "containers"), [], "spec.containers: []"),
        # no such value
        (("apiVersion",), "ray.io/v1alpha1", "'ray.io/v1' was expected"),
        (("spec", "authOptions", "mode"), "none", "'none' is not one of ['disabled', 'token']"),
        (("spec", "autoscalerOptions", "version"), "v3", "'v3' is not one of"),
        (("spec", "headGroupSpec", "serviceType"), "clusterIP", "'clusterIP' is not one of"),
        ((*CONTAINER, "imagePullPolicy"), "Sometimes", "'Sometimes' is not one of"),
        # missing
        (("spec", "headGroupSpec"), ABSENT, "'headGroupSpec' is a required property"),
        (("metadata", "name"), ABSENT, "'name' is a required property"),
        ((*GROUP, "groupName"), ABSENT, "'groupName' is a required property"),
        ((*GROUP, "maxReplicas"), ABSENT, "'maxReplicas' is a required property"),
        ((*GROUP, "template"), ABSENT, "'template' is a required property"),
        ((*POD, "containers"), ABSENT, "'containers' is a required property"),
        ((*CONTAINER, "volumeMounts", 0, "mountPath"), ABSENT, "'mountPath' is a required property"),
        ((*CONTAINER, "ports", 0, "containerPort"), ABSENT, "'containerPort' is a required property"),
    ],
)
def test_a_broken_cluster_is_refused(path, value, message):
    refuses("raycluster.yaml", path, value, message)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("spec", "backofflimit"), 3, "'backofflimit' was unexpected"),
        (("spec", "ttlSecondsAfterFinished"), "10m", "'10m' is not of type 'integer'"),
        (("spec", "activeDeadlineSeconds"), 0, "0 is less than the minimum of 1"),
        (("spec", "submissionMode"), "K8SJobMode", "'K8SJobMode' is not one of"),
        (("spec", "entrypoint"), ABSENT, "'entrypoint' is a required property"),
        (("spec", "rayClusterSpec"), ABSENT, "'rayClusterSpec' is a required property"),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "specs"), {}, "'specs' was unexpected"),
        (("metadata", "name"), "r" * 48, "is too long"),
    ],
)
def test_a_broken_job_is_refused(path, value, message):
    refuses("rayjob.yaml", path, value, message)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("spec", "accessModes"), ["ReadWriteAll"], "'ReadWriteAll' is not one of"),
        (("spec", "accessModes"), ABSENT, "'accessModes' is a required property"),
        (("spec", "resources", "requests", "storage"), "1TB", "'1TB' is not valid"),
        (("spec", "storageClass"), "x", "'storageClass' was unexpected"),
    ],
)
def test_a_broken_volume_is_refused(path, value, message):
    refuses("storage.yaml", path, value, message)


def refuses(name: str, path: tuple, value: object, message: str) -> None:
    """Exactly the one fault is found that is put into the manifest."""
    broken = copy.deepcopy(manifest(name))
    place = broken
    for key in path[:-1]:
        place = place[key]
    if value is ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    (fault,) = faults(broken)
    assert message in fault


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    [
        ("environment.yaml", ("spec", "replica"), 2, "'replica' was unexpected"),
        ("environment.yaml", ("spec", "selector"), ABSENT, "'selector' is a required property"),
        ("environment.yaml", ("spec", "strategy", "type"), "Rolling", "'Rolling' is not one of"),
        ("environment.yaml", ("spec", "template", "spec", "containers"), [], "spec.containers: []"),
        ("environment.yaml", ("apiVersion",), "v1", "'apps/v1' was expected"),
        ("environment-service.yaml", ("spec", "ports"), [], "spec.ports: []"),
        ("environment-service.yaml", ("spec", "ports", 0, "port"), 80800, "80800 is greater than the maximum"),
        ("environment-service.yaml", ("spec", "type"), "clusterIP", "'clusterIP' is not one of"),
    ],
)
def test_a_broken_server_is_refused(name, path, value, message):
    refuses(name, path, value, message)


def test_the_servers_are_found_and_run_a_command_that_the_job_takes():
    deployment, service = manifest("environment.yaml"), manifest("environment-service.yaml")
    template = deployment["spec"]["template"]
    labels = deployment["spec"]["selector"]["matchLabels"]
    assert labels == service["spec"]["selector"] == template["metadata"]["labels"]
    only = container(template)
    assert only["command"] == ["python", "jobs/serve_environment.py"]
    flags = parsed(["serve_environment", *only["args"]])
    assert (ROOT / only["command"][1]).exists()
    assert [port["containerPort"] for port in only["ports"]] == [flags.port]
    assert {port["targetPort"] for port in service["spec"]["ports"]} == {only["ports"][0]["name"]}
    assert only["resources"]["limits"] == only["resources"]["requests"]
    assert int(only["resources"]["limits"]["cpu"]) == flags.processes
    mounts = {mount["name"]: mount["mountPath"] for mount in only["volumeMounts"]}
    assert flags.token_file.parent == Path(mounts["token"]) and Path(flags.shop).is_relative_to(mounts["data"])
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == manifest("storage.yaml")["metadata"]["name"]
    guide = (CLUSTER / "kubernetes.md").read_text()
    assert f"create secret generic {volumes['token']['secret']['secretName']} " in guide
    assert only["image"] == container(pods(spec_of("raycluster.yaml"))["head"])["image"]


def test_a_key_that_comes_twice_is_refused():
    with pytest.raises(AssertionError, match="twice in one object"):
        yaml.load("spec: {a: {b: 1, b: 2}}", OnceLoader)


def test_both_manifests_describe_the_same_cluster():
    assert spec_of("raycluster.yaml") == spec_of("rayjob.yaml")


@CLUSTERS
def test_all_nodes_have_the_same_image_and_the_same_ray(name):
    spec = spec_of(name)
    (image,) = {container(pod)["image"] for pod in pods(spec).values()}
    assert image.rpartition(":")[2] == PROJECT["version"]
    assert f"IMAGE={image} " in (CLUSTER / "kubernetes.md").read_text()
    (ray,) = re.findall(r"^ray\[.*\]==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert spec["rayVersion"] == ray


@CLUSTERS
def test_ray_has_what_kubernetes_gives(name):
    """Ray takes the limits for what a node has; more than was requested may not be there."""
    for pod in pods(spec_of(name)).values():
        resources = container(pod)["resources"]
        assert resources["requests"] == resources["limits"]
        assert {"cpu", "memory"} <= resources["limits"].keys()


@CLUSTERS
def test_the_autoscaler_has_room_and_starts_where_it_may_stay(name):
    spec = spec_of(name)
    assert spec["enableInTreeAutoscaling"]
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        # A RayJob waits for exactly the pods that are desired, a number that must not move before it has begun.
        assert group["replicas"] == group["minReplicas"] < group["maxReplicas"]


@CLUSTERS
def test_volumes_are_there_and_are_the_same_folder_everywhere(name):
    claim = manifest("storage.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in pods(spec_of(name)).values():
        claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container(pod)["volumeMounts"]}
        assert claims.keys() == mounts.keys()
        assert [(mounts[volume], claims[volume]) for volume in mounts] == [("/data", claim["metadata"]["name"])]


@CLUSTERS
def test_ports_and_metrics(name):
    spec = spec_of(name)
    ports = {
        group: {port["name"]: port["containerPort"] for port in container(pod)["ports"]}
        for group, pod in pods(spec).items()
    }
    assert ports["head"] == {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080}
    for group, pod in pods(spec).items():
        annotations = pod["metadata"]["annotations"]
        assert annotations["prometheus.io/scrape"] == "true"
        assert int(annotations["prometheus.io/port"]) == ports[group]["metrics"]


@CLUSTERS
def test_authentication_is_the_same_everywhere(name):
    """KubeRay gives the token to all containers, but to none that says otherwise."""
    spec = spec_of(name)
    assert spec["authOptions"] == {"mode": "token"}
    given = [spec["autoscalerOptions"].get("env", []), *(container(pod).get("env", []) for pod in pods(spec).values())]
    assert not [variable for variables in given for variable in variables if variable["name"].startswith("RAY_AUTH")]
    assert environment()["RAY_AUTH_MODE"] == "token"


@CLUSTERS
def test_nodes_with_a_gpu_are_asked_for_where_they_are_needed(name):
    for pod in pods(spec_of(name)).values():
        wants = "nvidia.com/gpu" in container(pod)["resources"]["limits"]
        tolerates = [toleration["key"] for toleration in pod["spec"].get("tolerations", [])]
        assert ("nvidia.com/gpu" in tolerates) == wants
        assert ("cloud.google.com/gke-accelerator" in pod["spec"].get("nodeSelector", {})) == wants


def test_the_job_is_one_that_ppo_takes_and_that_its_cluster_can_hold():
    arguments = entrypoint()
    assert {Path(folder).parts[1] for folder in (arguments.shop, arguments.policy, arguments.out)} == {"data"}
    spec = spec_of("rayjob.yaml")
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    cores, kinds = 0, set()
    for group in spec["workerGroupSpecs"]:  # what is there from the start: a job that needs more is refused
        limits = container(group["template"])["resources"]["limits"]
        cores += group["minReplicas"] * int(group["rayStartParams"].get("num-cpus", limits["cpu"]))
        if group["minReplicas"] * limits.get("nvidia.com/gpu", 0):
            kinds.add(group["template"]["spec"]["nodeSelector"]["cloud.google.com/gke-accelerator"])
    assert cores >= arguments.num_workers + 1
    assert f"nvidia-tesla-{arguments.learner}" in kinds


def test_a_job_that_failed_goes_on_and_its_cluster_goes_away():
    spec = manifest("rayjob.yaml")["spec"]
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"] and spec["ttlSecondsAfterFinished"] > 0


def test_the_guide_names_what_is_there():
    guide = (CLUSTER / "kubernetes.md").read_text()
    for name in re.findall(r"docs/cluster/([\w.-]+)", guide) + re.findall(r"`([\w.-]+\.yaml)`", guide):
        assert (CLUSTER / name).exists(), name
    assert f"--version {KUBERAY} " in guide
    names = {manifest(name)["metadata"]["name"] for name in MANIFESTS}
    assert set(re.findall(r"(?:raycluster/|rayjob |get secret |job-name=)([\w-]+)", guide)) <= names
    assert [command[0] for command in commands(guide) if parsed(command)] == ["demonstrate", "imitate"]


def environment() -> dict[str, str]:
    """The image's variables."""
    pairs = [pair for name, rest in instructions() if name == "ENV" for pair in shlex.split(rest)]
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_image_has_the_python_the_packages_and_the_user_that_are_needed():
    given = instructions()
    (base,) = [rest for name, rest in given if name == "FROM"]
    python = Version(re.fullmatch(r"python:(\d+\.\d+)-slim", base)[1])
    assert python in SpecifierSet(PROJECT["requires-python"])
    assert ("ARG", "TORCH_INDEX=https://download.pytorch.org/whl/cpu") in given
    packages, code, project = (
        next(number for number, step in enumerate(given) if step[0] == name and part in step[1])
        for name, part in (("RUN", "-r requirements.txt"), ("COPY", ". ./"), ("RUN", "--no-deps -e ."))
    )
    assert packages < code < project, "the code changes more often than the packages"
    pattern = re.search(r"grep -o '(.*?)' requirements.txt", given[packages][1])[1]
    pins = (ROOT / "requirements.txt").read_text()
    assert re.findall(pattern, pins, re.MULTILINE) == [line for line in pins.splitlines() if line.startswith("torch==")]
    assert any("wget" in rest for _, rest in given)
    user = next(int(rest) for name, rest in reversed(given) if name == "USER")
    assert user
    assert ("RUN", f"useradd --uid {user} --create-home --shell /bin/bash ray") in given
    for pod in pods(spec_of("raycluster.yaml")).values():
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] == security["fsGroup"] == user
    assert environment()["RAY_USAGE_STATS_ENABLED"] == "0"


def ignored(path: str) -> bool:
    """Whether a file of the repository stays out of the image."""
    patterns = [line for line in (CLUSTER / "Dockerfile.dockerignore").read_text().split("\n") if line[:1] not in "#"]
    parts = path.split("/")
    above = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    return any(
        fnmatch(part, pattern[3:]) if pattern.startswith("**/") else fnmatch(folder, pattern) and "/" not in folder
        for pattern in patterns
        for part, folder in zip(parts, above, strict=True)
    )


def test_the_image_holds_the_code_and_nothing_that_was_made_with_it():
    for path in (".venv/bin/python", ".git/config", "runs/a/policy", "shops/demo/goals", "jobs/__pycache__/ppo.pyc"):
        assert ignored(path), path
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*") if "__pycache__" not in path.parts]
    assert len(sources) > 50
    for path in [*sources, ROOT / "README.md", ROOT / "pyproject.toml", ROOT / "requirements.txt"]:
        assert not ignored(str(path.relative_to(ROOT))), path
