"""The manifests, against the schemas of what will read them; none of them is applied here."""

import re
import shlex
import tomllib
from copy import deepcopy

import jsonschema
import kubernetes_validate
import pytest
import yaml
from command import REPOSITORY

from jobs.remote.parcel import CODE, SECRET

# Ray's command line loads what its own models warn of
pytestmark = pytest.mark.filterwarnings("ignore:Using extra keyword arguments")
CLUSTER = REPOSITORY / "cluster"
README = (CLUSTER / "README.md").read_text(encoding="utf-8")
KUBERNETES = "1.37"
SPOT = {
    "cloud.google.com/gke-spot": ["true"],
    "eks.amazonaws.com/capacityType": ["SPOT"],
    "karpenter.sh/capacity-type": ["spot"],
    "kubernetes.azure.com/scalesetpriority": ["spot"],
}
GIB = 2**30


def fields(*needed, **types):
    """Return the schema of an object that has these fields, at most."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": types,
        "required": list(needed),
    }


TEXT, FLAG, COUNT = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
TABLE = {"type": "object", "additionalProperties": TEXT}
ANY = {"type": "object"}
LIST = {"type": "array"}
# pods are looked at by themselves
POD = fields("spec", metadata=ANY, spec=ANY)
# What KubeRay 1.6 reads of a RayCluster and a RayJob (its API reference, ray.io/v1). Kubernetes
# refuses no field that it does not know: it drops it.
RAY_CLUSTER = fields(
    "headGroupSpec",
    "rayVersion",
    suspend=FLAG,
    managedBy=TEXT,
    authOptions=fields(mode={"enum": ["disabled", "token"]}, secretName=TEXT),
    autoscalerOptions=fields(
        resources=ANY,
        image=TEXT,
        imagePullPolicy=TEXT,
        securityContext=ANY,
        idleTimeoutSeconds=COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        version={"enum": ["v1", "v2"]},
        env=LIST,
        envFrom=LIST,
        volumeMounts=LIST,
    ),
    headServiceAnnotations=TABLE,
    enableInTreeAutoscaling=FLAG,
    gcsFaultToleranceOptions=ANY,
    headGroupSpec=fields(
        "template",
        "rayStartParams",
        template=POD,
        headService=ANY,
        enableIngress=FLAG,
        resources=TABLE,
        labels=TABLE,
        rayStartParams=TABLE,
        serviceType=TEXT,
    ),
    rayVersion=TEXT,
    workerGroupSpecs={
        "type": "array",
        "items": fields(
            "groupName",
            "template",
            "rayStartParams",
            "minReplicas",
            "maxReplicas",
            suspend=FLAG,
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            idleTimeoutSeconds=COUNT,
            resources=TABLE,
            labels=TABLE,
            rayStartParams=TABLE,
            template=POD,
            scaleStrategy=ANY,
            numOfHosts=COUNT,
        ),
    },
)
RAY_JOB = fields(
    "entrypoint",
    "rayClusterSpec",
    activeDeadlineSeconds=COUNT,
    backoffLimit=COUNT,
    rayClusterSpec=RAY_CLUSTER,
    submitterPodTemplate=POD,
    metadata=TABLE,
    clusterSelector=TABLE,
    submitterConfig=fields(backoffLimit=COUNT),
    managedBy=TEXT,
    deletionStrategy=ANY,
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    jobId=TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    entrypointResources=TEXT,
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    ttlSecondsAfterFinished=COUNT,
    shutdownAfterJobFinishes=FLAG,
    suspend=FLAG,
)
KINDS = {"RayCluster": RAY_CLUSTER, "RayJob": RAY_JOB}


def manifests(name):
    return list(yaml.safe_load_all((CLUSTER / name).read_text(encoding="utf-8")))


def pinned():
    """Return the versions that pyproject.toml pins to one, by package."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["gpu"]]
    exact = (re.fullmatch(r"([\w-]+)(?:\[.*\])?==([\d.]+)", one) for one in wanted)
    return {one[1]: one[2] for one in exact if one}


(JOB,) = manifests("kuberay-rayjob.yaml")
(STAYS,) = manifests("kuberay-cluster.yaml")
STORAGE = manifests("kuberay-storage.yaml")
HEAD = JOB["spec"]["rayClusterSpec"]["headGroupSpec"]
(WORKERS,) = JOB["spec"]["rayClusterSpec"]["workerGroupSpecs"]


def container(group):
    (only,) = group["template"]["spec"]["containers"]
    return only


def check_kuberay(manifest):
    known = fields(
        "spec",
        apiVersion={"const": "ray.io/v1"},
        kind=TEXT,
        metadata=fields("name", name={"type": "string", "maxLength": 47}),
        spec=KINDS[manifest["kind"]],
    )
    jsonschema.validate(manifest, known)


def check_pod(spec):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("manifest", [JOB, STAYS], ids=["job", "cluster"])
def test_kuberay_knows_each_field(manifest):
    check_kuberay(manifest)
    wrong = deepcopy(manifest)
    wrong["spec"]["authOption"] = {"mode": "token"}
    with pytest.raises(jsonschema.ValidationError, match="authOption"):
        check_kuberay(wrong)


@pytest.mark.parametrize("group", [HEAD, WORKERS], ids=["head", "workers"])
def test_pods_are_what_kubernetes_takes(group):
    check_pod(group["template"]["spec"])
    wrong = deepcopy(group["template"]["spec"])
    wrong["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="volumeMount"):
        check_pod(wrong)


@pytest.mark.parametrize("manifest", STORAGE, ids=lambda one: one["kind"])
def test_what_outlives_clusters_is_what_kubernetes_takes(manifest):
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_volume_is_the_one_that_nodes_mount_and_not_the_clusters():
    volume, pod = STORAGE
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]
    claim = {"name": "shared", "persistentVolumeClaim": {"claimName": volume["metadata"]["name"]}}
    for spec in (pod["spec"], HEAD["template"]["spec"], WORKERS["template"]["spec"]):
        assert claim in spec["volumes"]
        assert {"name": "shared", "mountPath": "/shared"} in spec["containers"][0]["volumeMounts"]
        user = spec["securityContext"]
        assert (user["runAsUser"], user["runAsGroup"], user["fsGroup"]) == (1000, 100, 100)


def test_the_cluster_that_stays_is_that_of_a_study_but_keeps_its_nodes():
    of_a_study, stays = deepcopy(JOB["spec"]["rayClusterSpec"]), STAYS["spec"]
    assert stays["workerGroupSpecs"][0]["minReplicas"] == WORKERS["replicas"]
    of_a_study["workerGroupSpecs"][0]["minReplicas"] = WORKERS["replicas"]
    assert stays == of_a_study


def test_work_is_on_gpu_nodes_which_can_be_taken_away_and_the_head_is_not():
    assert HEAD["rayStartParams"]["num-cpus"] == "0"
    assert "nvidia.com/gpu" not in container(HEAD)["resources"]["limits"]
    assert container(WORKERS)["resources"]["limits"]["nvidia.com/gpu"] >= 1
    head, workers = (one["template"]["spec"]["affinity"]["nodeAffinity"] for one in (HEAD, WORKERS))
    (term,) = head["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    never = {one["key"]: one["values"] for one in term["matchExpressions"]}
    assert {one["operator"] for one in term["matchExpressions"]} == {"NotIn"}
    wished = [
        one["preference"]["matchExpressions"]
        for one in workers["preferredDuringSchedulingIgnoredDuringExecution"]
    ]
    assert all(len(one) == 1 and one[0]["operator"] == "In" for one in wished)
    assert never == {one["key"]: one["values"] for (one,) in wished} == SPOT
    assert "tolerations" not in HEAD["template"]["spec"]


@pytest.mark.parametrize("group", [HEAD, WORKERS], ids=["head", "workers"])
def test_memory_is_reserved_and_holds_the_object_store(group):
    def gib(amount):
        assert amount.endswith("Gi")
        return int(amount.removesuffix("Gi"))

    only = container(group)
    memory = only["resources"]["limits"]["memory"]
    assert only["resources"]["requests"]["memory"] == memory
    (mounted,) = (one for one in only["volumeMounts"] if one["mountPath"] == "/dev/shm")
    (volume,) = (
        one for one in group["template"]["spec"]["volumes"] if one["name"] == mounted["name"]
    )
    assert volume["emptyDir"]["medium"] == "Memory"
    shared = gib(volume["emptyDir"]["sizeLimit"])
    assert int(group["rayStartParams"]["object-store-memory"]) < shared * GIB
    assert shared < gib(memory)


def test_ray_start_has_the_parameters():
    from ray.scripts.scripts import start

    known = {name.removeprefix("--") for one in start.params for name in one.opts}
    assert set(HEAD["rayStartParams"]) | set(WORKERS["rayStartParams"]) <= known


def test_secrets_come_from_a_secret():
    for group in (HEAD, WORKERS):
        assert not [one for one in container(group)["env"] if SECRET.search(one["name"])]
        (source,) = container(group)["envFrom"]
        assert f"create secret generic {source['secretRef']['name']} " in README
    assert JOB["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_a_job_finds_code_study_and_root_in_the_volume():
    from ray.runtime_env import RuntimeEnv

    runtime = RuntimeEnv(**yaml.safe_load(JOB["spec"]["runtimeEnvYAML"]))
    words = shlex.split(JOB["spec"]["entrypoint"])
    study, root = words[4], words[words.index("--root") + 1]
    assert runtime["working_dir"] == "file:///shared/textmill.zip"
    assert (CLUSTER / "kuberay-rayjob.yaml").read_text().count("textmill.zip") == 1
    assert 'sed "s/textmill.zip/$code/" cluster/kuberay-rayjob.yaml' in README
    assert study.startswith(f"{runtime['env_vars']['PYTHONPATH']}/")
    assert root.startswith("/shared/")
    (archived,) = re.findall(r"^git archive --output \S+ HEAD (.*)$", README, re.MULTILINE)
    assert tuple(archived.split()) == CODE


def test_the_launchers_file_is_what_ray_takes():
    from ray.autoscaler._private.util import prepare_config, validate_config

    (config,) = manifests("ray-cluster.yaml")
    validate_config(prepare_config(deepcopy(config)))
    wrong = deepcopy(config)
    wrong["available_node_types"]["gpu"]["min_worker"] = 1
    with pytest.raises(jsonschema.ValidationError, match="min_worker"):
        validate_config(prepare_config(wrong))


def test_its_workers_are_spot_instances_and_its_head_is_none():
    (config,) = manifests("ray-cluster.yaml")
    head, gpu = (config["available_node_types"][name] for name in ("head", "gpu"))
    assert config["head_node_type"] == "head"
    assert "InstanceMarketOptions" not in head["node_config"]
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert gpu["min_workers"] == gpu["max_workers"] == config["max_workers"]


def test_its_nodes_get_the_token_alone_and_ray_start_takes_its_words():
    from ray.scripts.scripts import start

    (config,) = manifests("ray-cluster.yaml")
    assert config["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}
    assert "--env=RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    commands = config["head_start_ray_commands"][1:] + config["worker_start_ray_commands"][1:]
    head, worker = (
        start.make_context("start", shlex.split(one.removeprefix("ray start "))).params
        for one in commands
    )
    assert (head["head"], head["num_cpus"], head["dashboard_host"]) == (True, 0, "127.0.0.1")
    assert worker["address"] == "$RAY_HEAD_IP:6379"


def test_versions_are_those_that_are_pinned():
    named = re.compile(r"\b(?:rayproject/)?(ray|vllm)(?:Version: |:|==|)(\d+\.\d+\.\d+)")
    for path in CLUSTER.iterdir():
        found = dict.fromkeys(named.findall(path.read_text(encoding="utf-8")))
        assert [one for one in found if pinned()[one[0]] != one[1]] == [], path.name


def test_images_are_those_that_are_built():
    built = set(re.findall(r"^docker build .*-t (\S+) \.$", README, re.MULTILINE))
    (launched,) = manifests("ray-cluster.yaml")
    used = {container(HEAD)["image"], container(WORKERS)["image"], launched["docker"]["image"]}
    assert used < built
    for path in CLUSTER.glob("Dockerfile.*"):
        (said,) = re.findall(r"^#   docker build -f (\S+) -t (\S+) \.$", path.read_text(), re.M)
        assert said[0] == f"cluster/{path.name}"
        assert f"docker build -f {said[0]} -t {said[1]} .\n" in README


def test_every_file_that_the_readme_names_is_there():
    named = set(re.findall(r"\bcluster/[\w.-]*\w", README))
    assert named == {f"cluster/{path.name}" for path in CLUSTER.iterdir()} - {"cluster/README.md"}
