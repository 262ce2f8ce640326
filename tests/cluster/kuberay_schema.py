"""KubeRay's RayCluster and RayJob as a JSON schema, as far as the manifests in docs/cluster go and a little further.

Written for this project. The facts (names, types, what is required, which values there are) are those of KubeRay 1.7.0:
docs/reference/api.md of ray-project/kuberay at commit 97509c3a7216cf3440af381646560a1885afb53b and, for what is
required, the types that it is generated from, ray-operator/apis/ray/v1. Those of pods and volumes are of Kubernetes'
core/v1. No object takes a field that is not named here, so that a misspelt one is refused, where Kubernetes may drop it
in silence. Parts that the manifests do not use are OPEN: any object will do.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

KUBERAY = "1.7.0"

STRING, BOOLEAN, NUMBER, OPEN = {"type": "string"}, {"type": "boolean"}, {"type": "number"}, {"type": "object"}
INTEGER = {"type": "integer"}
COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
STRINGS = {"type": "array", "items": STRING}
TEXTS = {"type": "object", "additionalProperties": STRING}  # Go's map[string]string: "0", never 0
QUANTITY = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d+)?(m|k|[MGTPE]|[KMGTPE]i)?$"}]
}
#: A DNS label that begins with a letter; KubeRay refuses other names.
NAME = {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def list_of(item: Schema, *, at_least: int = 0) -> Schema:
    return {"type": "array", "items": item, "minItems": at_least}


def record(required: dict[str, Schema] | None = None, /, **optional: Schema) -> Schema:
    """An object of these fields and no others."""
    return {
        "type": "object",
        "properties": {**(required or {}), **optional},
        "required": list(required or {}),
        "additionalProperties": False,
    }


def metadata(name: Schema) -> Schema:
    return record({"name": name}, namespace=STRING, labels=TEXTS, annotations=TEXTS)


# Kubernetes: pods

PULL = one_of("Always", "IfNotPresent", "Never")
RESOURCES = record(
    limits={"type": "object", "additionalProperties": QUANTITY},
    requests={"type": "object", "additionalProperties": QUANTITY},
)
ENVIRONMENT = list_of(record({"name": STRING}, value=STRING, valueFrom=OPEN))
MOUNTS = list_of(record({"name": STRING, "mountPath": STRING}, subPath=STRING, subPathExpr=STRING, readOnly=BOOLEAN))

CONTAINER = record(
    {"name": NAME},
    image=STRING,
    imagePullPolicy=PULL,
    command=STRINGS,
    args=STRINGS,
    workingDir=STRING,
    env=ENVIRONMENT,
    envFrom=list_of(OPEN),
    ports=list_of(record({"containerPort": PORT}, name=NAME, protocol=one_of("TCP", "UDP", "SCTP"))),
    resources=RESOURCES,
    volumeMounts=MOUNTS,
    securityContext=OPEN,
    lifecycle=OPEN,
    livenessProbe=OPEN,
    readinessProbe=OPEN,
    startupProbe=OPEN,
)
VOLUME = record(
    {"name": STRING},
    persistentVolumeClaim=record({"claimName": STRING}, readOnly=BOOLEAN),
    emptyDir=record(medium=one_of("", "Memory"), sizeLimit=QUANTITY),
    configMap=OPEN,
    secret=OPEN,
    csi=OPEN,
    nfs=record({"server": STRING, "path": STRING}, readOnly=BOOLEAN),
)
TOLERATION = record(
    key=STRING,
    operator=one_of("Exists", "Equal"),
    value=STRING,
    effect=one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
    tolerationSeconds=INTEGER,
)
POD = record(
    {"containers": list_of(CONTAINER, at_least=1)},
    initContainers=list_of(CONTAINER),
    volumes=list_of(VOLUME),
    nodeSelector=TEXTS,
    tolerations=list_of(TOLERATION),
    affinity=OPEN,
    topologySpreadConstraints=list_of(OPEN),
    securityContext=record(
        runAsNonRoot=BOOLEAN,
        runAsUser=COUNT,
        runAsGroup=COUNT,
        fsGroup=COUNT,
        fsGroupChangePolicy=one_of("OnRootMismatch", "Always"),
        supplementalGroups=list_of(COUNT),
        seccompProfile=OPEN,
    ),
    serviceAccountName=STRING,
    imagePullSecrets=list_of(record({"name": STRING})),
    restartPolicy=one_of("Always", "OnFailure", "Never"),
    priorityClassName=STRING,
    runtimeClassName=STRING,
    terminationGracePeriodSeconds=COUNT,
)
POD_TEMPLATE = record(metadata=record(labels=TEXTS, annotations=TEXTS), spec=POD)

# KubeRay: clusters

GROUP: Schema = {"rayStartParams": TEXTS, "resources": TEXTS, "labels": TEXTS}
HEAD_GROUP = record(
    {"template": POD_TEMPLATE},
    **GROUP,
    serviceType=one_of("ClusterIP", "NodePort", "LoadBalancer"),
    headService=OPEN,
    enableIngress=BOOLEAN,
    ingressOptions=OPEN,
)
#: KubeRay requires both bounds of the replicas, and fills in 0 and the largest number where they are left out: nothing
#: that a manifest should leave to it.
WORKER_GROUP = record(
    {"groupName": NAME, "minReplicas": COUNT, "maxReplicas": COUNT, "template": POD_TEMPLATE},
    **GROUP,
    replicas=COUNT,
    numOfHosts=COUNT,
    idleTimeoutSeconds=COUNT,
    priority=INTEGER,
    suspend=BOOLEAN,
    scaleStrategy=record(workersToDelete=STRINGS),
)
AUTOSCALER = record(
    version=one_of("v1", "v2"),
    upscalingMode=one_of("Default", "Aggressive", "Conservative"),
    idleTimeoutSeconds=COUNT,
    image=STRING,
    imagePullPolicy=PULL,
    command=STRINGS,
    args=STRINGS,
    env=ENVIRONMENT,
    envFrom=list_of(OPEN),
    resources=RESOURCES,
    volumeMounts=MOUNTS,
    securityContext=OPEN,
)
MANAGER = one_of("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue")
CLUSTER = record(
    {"headGroupSpec": HEAD_GROUP},
    workerGroupSpecs=list_of(WORKER_GROUP),
    rayVersion=STRING,
    enableInTreeAutoscaling=BOOLEAN,
    autoscalerOptions=AUTOSCALER,
    authOptions=record(mode=one_of("disabled", "token"), secretName=STRING, enableK8sTokenAuth=BOOLEAN),
    headServiceAnnotations=TEXTS,
    upgradeStrategy=record(type=one_of("Recreate", "None")),
    gcsFaultToleranceOptions=OPEN,
    historyServerOptions=OPEN,
    networkPolicy=OPEN,
    tlsOptions=record(enabled=BOOLEAN),
    managedBy=MANAGER,
    suspend=BOOLEAN,
)

# KubeRay: jobs

#: No field is required by name, but a job without a cluster or a command is refused.
JOB = record(
    {"rayClusterSpec": CLUSTER, "entrypoint": STRING},
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    backoffLimit=COUNT,
    activeDeadlineSeconds=COUNT | {"minimum": 1},
    preRunningDeadlineSeconds=COUNT | {"minimum": 1},
    shutdownAfterJobFinishes=BOOLEAN,
    ttlSecondsAfterFinished=COUNT,
    deletionStrategy=OPEN,
    submitterConfig=record(backoffLimit=COUNT),
    submitterPodTemplate=POD_TEMPLATE,
    metadata=TEXTS,
    runtimeEnvYAML=STRING,
    jobId=STRING,
    entrypointNumCpus=NUMBER,
    entrypointNumGpus=NUMBER,
    entrypointResources=STRING,
    managedBy=MANAGER,
    suspend=BOOLEAN,
)

# Kubernetes: the volume

CLAIM = record(
    {
        "accessModes": list_of(
            one_of("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"), at_least=1
        ),
        "resources": record({"requests": record({"storage": QUANTITY})}),
    },
    storageClassName=STRING,
    volumeMode=one_of("Filesystem", "Block"),
    volumeName=STRING,
    selector=OPEN,
)

# Kubernetes: servers that are not Ray's

LABELS = record({"matchLabels": TEXTS})
SHARE = {"anyOf": [COUNT, {"type": "string", "pattern": r"^\d+%$"}]}
DEPLOYMENT = record(
    {"selector": LABELS, "template": POD_TEMPLATE},
    replicas=COUNT,
    strategy=record(
        type=one_of("RollingUpdate", "Recreate"), rollingUpdate=record(maxUnavailable=SHARE, maxSurge=SHARE)
    ),
    minReadySeconds=COUNT,
    revisionHistoryLimit=COUNT,
    progressDeadlineSeconds=COUNT,
    paused=BOOLEAN,
)
SERVICE = record(
    {
        "ports": list_of(
            record(
                {"port": PORT},
                name=NAME,
                targetPort={"anyOf": [PORT, NAME]},
                protocol=one_of("TCP", "UDP", "SCTP"),
                nodePort=PORT,
            ),
            at_least=1,
        )
    },
    selector=TEXTS,
    type=one_of("ClusterIP", "NodePort", "LoadBalancer"),
    sessionAffinity=one_of("None", "ClientIP"),
)


def manifest(version: str, kind: str, longest: int, spec: Schema) -> Schema:
    name = NAME | {"maxLength": longest}
    head = {"apiVersion": {"const": version}, "kind": {"const": kind}}
    return record({**head, "metadata": metadata(name), "spec": spec})


#: By kind. KubeRay makes longer names of those of clusters and jobs, so these may have fewer letters than others.
SCHEMAS = {
    "RayCluster": manifest("ray.io/v1", "RayCluster", 53, CLUSTER),
    "RayJob": manifest("ray.io/v1", "RayJob", 47, JOB),
    "PersistentVolumeClaim": manifest("v1", "PersistentVolumeClaim", 63, CLAIM),
    "Deployment": manifest("apps/v1", "Deployment", 63, DEPLOYMENT),
    "Service": manifest("v1", "Service", 63, SERVICE),
}
