"""The cluster, before an install.

The preflight of `mrc-values install` reports these rules. Their examples show the state of a cluster.
"""

from functools import partial

from mrc_cli.findings import Severity

from mrc_values.rules.registry import declare

_rule = partial(declare, __name__, needs_cluster=True)

_rule(
    "MRC100",
    Severity.ERROR,
    "the chart supports the cluster's Kubernetes version",
    "kubeVersion in Chart.yaml is the oldest version whose API has everything the chart uses. Helm rejects "
    "older clusters.",
    failing="kubectl version: Server Version: v1.24.17",
    passing="kubectl version: Server Version: v1.34.2",
)
_rule(
    "MRC101",
    Severity.ERROR,
    "the MPIJob CRD is installed",
    "A training job is an MPIJob of kubeflow.org/v2beta1. The training operator of older Kubeflow "
    "releases has "
    "only v1, which is a different API.",
    failing="kubectl get crd mpijobs.kubeflow.org: not found",
    passing="helm install mpijob charts/mpijob",
)
_rule(
    "MRC102",
    Severity.ERROR,
    "an MPI Operator watches the job's namespace",
    "Without an operator the MPIJob is created and nothing happens, without any error. An operator with "
    "--namespace watches the jobs of one namespace only.",
    failing="kubectl get deployments --all-namespaces: none has the image mpi-operator",
    passing="mpijob-operator in kubeflow: 1/1",
)
_rule(
    "MRC103",
    Severity.WARNING,
    "the operator supports gang scheduling if the job requests it",
    "gang: true holds all workers back until there is room for all of them. The operator passes "
    "that on to the "
    "gang scheduler only with its flag --gang-scheduling; without it the workers start one by one and occupy "
    "their GPUs.",
    failing="maskrcnn.gang: true, and an operator without --gang-scheduling",
    passing="helm upgrade mpijob charts/mpijob --set operator.gang_scheduling=volcano",
)
_rule(
    "MRC104",
    Severity.ERROR,
    "the namespaces exist",
    "Job charts do not create namespaces, so deleting a release never deletes one. The mpijob chart creates "
    "kubeflow.",
    failing="global.namespace: team-b, and kubectl get namespace team-b: not found",
    passing="kubectl create namespace team-b",
)
_rule(
    "MRC105",
    Severity.ERROR,
    "you may create the objects of the release",
    "Helm creates one object after another and stops at the first that is denied, which leaves a "
    "failed release "
    "with half of its objects. The cluster is asked beforehand, as kubectl auth can-i does.",
    failing="kubectl auth can-i create mpijobs.kubeflow.org --namespace kubeflow: no",
    passing="kubectl auth can-i create mpijobs.kubeflow.org --namespace kubeflow: yes",
)
_rule(
    "MRC106",
    Severity.ERROR,
    "the run is new or its settings are unchanged",
    "The MPI Operator ignores changed settings of an existing job: Helm would report success while the old "
    "training continues. A new run has its own name and directory; delete and install resumes in the old "
    "directory.",
    failing="an upgrade of a live run with --set maskrcnn.steps_per_epoch=100",
    passing="the same upgrade with --set maskrcnn.run=b",
)
_rule(
    "MRC107",
    Severity.ERROR,
    "an upgrade does not end a live run",
    "Helm deletes the MPIJob that the new values no longer have, so an upgrade with another maskrcnn.run or "
    "maskrcnn.name ends the run that is training. Ending it must be requested by its name.",
    failing="an upgrade with --set maskrcnn.run=b while the run demo is training",
    passing="the same upgrade with --end-run demo, or a second release for the run b",
)
_rule(
    "MRC110",
    Severity.ERROR,
    "the claims exist",
    "Charts refer to claims and never create them, so that no release can delete data. A pod "
    "whose claim does "
    "not exist stays pending.",
    failing="global.shared_pvc: tensorpack-fsx, and no such claim in the job's namespace",
    passing="kubectl apply -f charts/maskrcnn/examples/claims/fsx.yaml",
)
_rule(
    "MRC111",
    Severity.ERROR,
    "the claims are bound",
    "A pending claim has no volume: none was provisioned, or its class, size or access mode does "
    "not match the "
    "volume that it names. Its pods stay pending too.",
    failing="tensorpack-fsx: Pending",
    passing="tensorpack-fsx: Bound",
)
_rule(
    "MRC112",
    Severity.ERROR,
    "the claims can be mounted on many nodes",
    "Every worker mounts the same volume on another node, which requires the access mode ReadWriteMany.",
    failing="accessModes: [ReadWriteOnce]",
    passing="accessModes: [ReadWriteMany]",
)
_rule(
    "MRC113",
    Severity.ERROR,
    "the volume is on the file system that the values name",
    "shared_fs and data_fs decide the mount point, /efs or /fsx, and the claim decides what is "
    "mounted there. "
    "With the wrong claim, logs are written to the wrong file system and the trainer does not find its data.",
    failing="global.shared_fs: fsx, and a claim whose volume has driver: efs.csi.aws.com",
    passing="global.shared_fs: fsx, and a claim whose volume has driver: fsx.csi.aws.com",
)
_rule(
    "MRC114",
    Severity.ERROR,
    "the file system of runs has locks",
    "The trainer locks its run directory, so that a restarted launcher or a second job never writes beside "
    "ranks that are still alive, and ends at its start when there are no locks. Lustre has them only when it "
    "is mounted with flock; mountOptions of the volume, or of the class that creates it, decide.",
    failing="global.shared_fs: fsx, and a claim whose volume has no mountOptions",
    passing="global.shared_fs: fsx, and a claim whose volume has mountOptions: [flock]",
)
_rule(
    "MRC115",
    Severity.ERROR,
    "the data set is not being staged",
    "A training does not start on a data set that is not complete, and a job of the chart stage-data says "
    "how far it is. If its newest job has failed, this is a warning. Data that came by other means can only "
    "be seen in the pods: helm test looks for it.",
    failing="maskrcnn.data_dir: data, and the job stage-data, 2 of 4 shards done",
    passing="kubectl get pods: the pods of stage-data are Completed",
)
_rule(
    "MRC120",
    Severity.ERROR,
    "the cluster has nodes for the pods",
    "Pods are scheduled to nodes with the labels of their node group whose taints they tolerate. "
    "If there are "
    "none but an autoscaler can add some, this is a warning that names the autoscaler.",
    failing="node_group: p4d, and no node with node.kubernetes.io/instance-type=p4d.24xlarge",
    passing="the same, and a Karpenter NodePool whose instance types include p4d.24xlarge",
)
_rule(
    "MRC121",
    Severity.ERROR,
    "a node is large enough for each pod",
    "GPUs and EFA interfaces are available to pods only while their device plugins run. A pod that requests "
    "more than any node has stays pending.",
    failing="allocatable of a p4d node: no vpc.amazonaws.com/efa",
    passing="allocatable of a p4d node: vpc.amazonaws.com/efa: 4",
)
_rule(
    "MRC122",
    Severity.ERROR,
    "there are enough nodes",
    "All workers must run at once. If the nodes cannot hold all of them even while nothing else runs, some "
    "workers occupy GPUs and wait indefinitely for the others.",
    failing="gpus: 64, and 4 nodes with 8 GPUs each",
    passing="gpus: 32, and 4 nodes with 8 GPUs each",
)
_rule(
    "MRC123",
    Severity.WARNING,
    "enough GPUs are free now",
    "Other pods occupy the GPUs, counted by their requests. The job starts when they end; workers that are "
    "already scheduled hold their GPUs meanwhile.",
    failing="gpus: 16, and 8 of the 32 GPUs of p4d nodes are free",
    passing="gpus: 8, and 8 of the 32 GPUs of p4d nodes are free",
)
_rule(
    "MRC124",
    Severity.WARNING,
    "images are in the region of the nodes",
    "Nodes can pull from ECR in another region, but slowly: many gigabytes for each node, billed as transfer "
    "between regions. The region comes from the node label topology.kubernetes.io/region.",
    failing="maskrcnn.image in us-west-2, and nodes with topology.kubernetes.io/region=us-east-1",
    passing="maskrcnn.image in us-east-1, and nodes with topology.kubernetes.io/region=us-east-1",
)
_rule(
    "MRC125",
    Severity.WARNING,
    "workers with EFA are in one zone",
    "EFA connects nodes of one zone only. If the nodes of a group are in several, the scheduler may place "
    "workers in two of them, and NCCL then fails or falls back to TCP. The zone comes from the node label "
    "topology.kubernetes.io/zone.",
    failing="node_group: p4d, and p4d nodes in us-west-2a and us-west-2b",
    passing="the same, and maskrcnn.node_selector: {topology.kubernetes.io/zone: us-west-2a}",
)
_rule(
    "MRC130",
    Severity.ERROR,
    "the quota is large enough",
    "A ResourceQuota limits the total requests of all pods in a namespace. Kubernetes rejects "
    "pods beyond it, "
    "and the job waits with half of its workers. If other pods use up the quota now, this is a warning.",
    failing="requests.nvidia.com/gpu: 8, and the job requests 16",
    passing="requests.nvidia.com/gpu: 32, and the job requests 16",
)
_rule(
    "MRC131",
    Severity.ERROR,
    "pods set every resource that the quota limits",
    "If a quota limits cpu or memory, Kubernetes rejects every pod that does not set it, unless a LimitRange "
    "sets a default.",
    failing="a quota with limits.cpu, and no LimitRange",
    passing="a quota with limits.cpu, and a LimitRange with default: {cpu: 8}",
)
_rule(
    "MRC132",
    Severity.ERROR,
    "the pods respect the namespace's LimitRange",
    "A LimitRange limits a single container or pod; Kubernetes rejects larger ones.",
    failing="max: {memory: 64Gi}, and a worker on a p4d node requests 951 GiB",
    passing="max: {memory: 1Ti}",
)
_rule(
    "MRC140",
    Severity.ERROR,
    "the PriorityClass exists",
    "Kubernetes rejects a pod whose PriorityClass does not exist, so the job would never start.",
    failing="maskrcnn.priority_class: high, and kubectl get priorityclass high: not found",
    passing="kubectl create priorityclass high --value=1000",
)
_rule(
    "MRC141",
    Severity.ERROR,
    "the secrets and service accounts of the pods exist",
    "A pod does not start before the Secrets for its image, token and environment and its "
    "ServiceAccount exist. "
    "Only their names are read.",
    failing="maskrcnn.env with a secretKeyRef to wandb, and no Secret wandb",
    passing="kubectl create secret generic wandb --from-literal=key=...",
)
_rule(
    "MRC142",
    Severity.ERROR,
    "the queue exists",
    "Kueue starts a job when its LocalQueue has room. If the queue does not exist, the job waits "
    "indefinitely; "
    "without Kueue the queue is ignored and the job starts at once.",
    failing="maskrcnn.queue: team-b, and kubectl get localqueue team-b: not found",
    passing='maskrcnn.queue: ""',
)
_rule(
    "MRC199",
    Severity.WARNING,
    "everything could be checked",
    "Users of one namespace often may not read nodes, volumes or the deployments of other namespaces. Checks "
    "that need them are reported and skipped; the install continues.",
    failing="kubectl auth can-i list nodes: no",
    passing="kubectl auth can-i list nodes: yes",
)
