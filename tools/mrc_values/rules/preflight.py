"""Ids of what the preflight of an install finds in the cluster. The examples show clusters, not values."""

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Rule

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

_ROWS = (
    Rule(
        "MRC100",
        _ERROR,
        "the cluster's Kubernetes is one that the chart is made for",
        "Chart.yaml's kubeVersion is the oldest whose API has all that the chart uses. Helm refuses others.",
        "kubectl version: Server Version: v1.24.17",
        "kubectl version: Server Version: v1.34.2",
    ),
    Rule(
        "MRC101",
        _ERROR,
        "the cluster knows MPIJobs",
        "A training job is an MPIJob of kubeflow.org/v2beta1. The training operator of older Kubeflow has"
        " v1 only, which is another thing.",
        "kubectl get crd mpijobs.kubeflow.org: not found",
        "helm install mpijob charts/mpijob",
    ),
    Rule(
        "MRC102",
        _ERROR,
        "an MPI Operator runs and looks at the job's namespace",
        "Without it the job lies there and nothing happens, without a word. An operator with --namespace "
        "sees the jobs of one namespace only.",
        "kubectl get deployments --all-namespaces: none has the image mpi-operator",
        "mpijob-operator in kubeflow: 1/1",
    ),
    Rule(
        "MRC103",
        _WARNING,
        "the operator knows gang scheduling when the job wants it",
        "gang: true holds all workers back until all have room. The operator asks the gang scheduler for "
        "that only with its flag --gang-scheduling; without it the workers start one by one, and keep "
        "their GPUs.",
        "maskrcnn.gang: true, and an operator without --gang-scheduling",
        "helm upgrade mpijob charts/mpijob --set operator.gang_scheduling=volcano",
    ),
    Rule(
        "MRC104",
        _ERROR,
        "the namespaces exist",
        "Job charts make no namespace, so that deleting a release cannot take one away. The chart mpijob "
        "makes kubeflow.",
        "global.namespace: team-b, and kubectl get namespace team-b: not found",
        "kubectl create namespace team-b",
    ),
    Rule(
        "MRC105",
        _ERROR,
        "you may create what the release has",
        "Helm looks for each object and creates it, and stops at the first that is refused, with the "
        "others left behind in a failed release. The cluster is asked beforehand, as kubectl auth can-i "
        "does.",
        "kubectl auth can-i create mpijobs.kubeflow.org --namespace kubeflow: no",
        "kubectl auth can-i create mpijobs.kubeflow.org --namespace kubeflow: yes",
    ),
    Rule(
        "MRC106",
        _ERROR,
        "the run is new, or its settings are the same",
        "The MPI Operator does not look at the changed settings of a job that exists: Helm would say "
        "deployed, and the old training would go on. A new run has its own name and folder; delete and "
        "install resumes in the old folder.",
        "an upgrade of a live run with --set maskrcnn.steps_per_epoch=100",
        "the same with --set maskrcnn.run=b",
    ),
    Rule(
        "MRC110",
        _ERROR,
        "the claims exist",
        "Charts name claims and never make them, so that no release takes data away. A pod whose claim is"
        " not there waits for ever.",
        "global.shared_pvc: tensorpack-fsx, and no such claim in the job's namespace",
        "kubectl apply -f charts/maskrcnn/examples/claims/fsx.yaml",
    ),
    Rule(
        "MRC111",
        _ERROR,
        "the claims are bound",
        "A claim that is Pending has no volume: none was made for it, or its class, size or access mode "
        "does not fit the volume that it names. Pods wait with it.",
        "tensorpack-fsx: Pending",
        "tensorpack-fsx: Bound",
    ),
    Rule(
        "MRC112",
        _ERROR,
        "the claims are for many nodes",
        "Every worker mounts the same folder from another node, which needs the access mode ReadWriteMany.",
        "accessModes: [ReadWriteOnce]",
        "accessModes: [ReadWriteMany]",
    ),
    Rule(
        "MRC113",
        _ERROR,
        "the volume is of the file system that the values name",
        "shared_fs and data_fs name the mount, /efs or /fsx, and the claim decides what is mounted there."
        " With the wrong claim logs go to the wrong file system, and the data is not where the trainer "
        "looks.",
        "global.shared_fs: fsx, and a claim whose volume has driver: efs.csi.aws.com",
        "global.shared_fs: fsx, and a claim whose volume has driver: fsx.csi.aws.com",
    ),
    Rule(
        "MRC120",
        _ERROR,
        "there are nodes for the pods",
        "Pods go to nodes with the labels of their node group and only where they tolerate the taints. "
        "Where none is there, an autoscaler has to make some: then this is a warning that says which.",
        "node_group: p4d, and no node with node.kubernetes.io/instance-type=p4d.24xlarge",
        "the same, and a Karpenter NodePool whose instance types have p4d.24xlarge",
    ),
    Rule(
        "MRC121",
        _ERROR,
        "a node can hold a pod",
        "GPUs and EFA interfaces are there for pods only when their device plugins run. A pod that asks "
        "for more than any node has waits for ever.",
        "allocatable of a p4d node: no vpc.amazonaws.com/efa",
        "allocatable of a p4d node: vpc.amazonaws.com/efa: 4",
    ),
    Rule(
        "MRC122",
        _ERROR,
        "there are nodes enough",
        "All workers have to run at once. When the nodes cannot hold them even while nothing else runs, "
        "some hold GPUs and wait for ever for the rest.",
        "gpus: 64, and 4 nodes with 8 GPUs each",
        "gpus: 32, and 4 nodes with 8 GPUs each",
    ),
    Rule(
        "MRC123",
        _WARNING,
        "there is room now",
        "Pods of others have the GPUs, counted by what they request. The job starts when they end; "
        "workers that found room hold it meanwhile.",
        "gpus: 16, and 8 of the 32 GPUs of p4d nodes are free",
        "gpus: 8, and 8 of the 32 GPUs of p4d nodes are free",
    ),
    Rule(
        "MRC124",
        _WARNING,
        "images lie in the nodes' region",
        "Nodes can pull from ECR of another region: many gigabytes for each node, slower and paid as "
        "transfer between regions. The region is read from the nodes' label topology.kubernetes.io/region.",
        "maskrcnn.image in us-west-2, and nodes with topology.kubernetes.io/region=us-east-1",
        "maskrcnn.image in us-east-1, and nodes with topology.kubernetes.io/region=us-east-1",
    ),
    Rule(
        "MRC130",
        _ERROR,
        "the quota is enough",
        "A ResourceQuota bounds what all pods of a namespace request together. What is over it is refused"
        " when the pod is made, and a job with half of its workers waits. In use by others now: a "
        "warning.",
        "requests.nvidia.com/gpu: 8, and the job asks for 16",
        "requests.nvidia.com/gpu: 32, and the job asks for 16",
    ),
    Rule(
        "MRC131",
        _ERROR,
        "pods set what the quota counts",
        "Where a quota limits cpu or memory, Kubernetes refuses every pod that does not say how much it "
        "wants of it, unless a LimitRange says it for the pod.",
        "a quota with limits.cpu, and no LimitRange",
        "a quota with limits.cpu, and a LimitRange with default: {cpu: 8}",
    ),
    Rule(
        "MRC132",
        _ERROR,
        "the pods keep within the namespace's LimitRange",
        "A LimitRange bounds a single container or pod; Kubernetes refuses what is larger.",
        "max: {memory: 64Gi}, and a worker of a p4d node asks for 951 GiB",
        "max: {memory: 1Ti}",
    ),
    Rule(
        "MRC140",
        _ERROR,
        "the PriorityClass exists",
        "Kubernetes refuses a pod that names a class that is not there.",
        "maskrcnn.priority_class: high, and kubectl get priorityclass high: not found",
        "kubectl create priorityclass high --value=1000",
    ),
    Rule(
        "MRC141",
        _ERROR,
        "secrets and service accounts that pods name exist",
        "A pod does not start before the Secret for its image, token or environment is there, nor without"
        " its ServiceAccount. Only their names are read.",
        "maskrcnn.env with a secretKeyRef to wandb, and no Secret wandb",
        "kubectl create secret generic wandb --from-literal=key=...",
    ),
    Rule(
        "MRC142",
        _ERROR,
        "the queue exists",
        "Kueue starts a job when its LocalQueue has room. Without the queue it waits for ever; without "
        "Kueue the queue's name means nothing, and the job starts at once.",
        "maskrcnn.queue: team-b, and kubectl get localqueue team-b: not found",
        'maskrcnn.queue: ""',
    ),
    Rule(
        "MRC199",
        _WARNING,
        "everything could be checked",
        "Nodes, volumes and the deployments of other namespaces are often closed to users of one "
        "namespace. What you may not read is said and not checked; the install goes on.",
        "kubectl auth can-i list nodes: no",
        "kubectl auth can-i list nodes: yes",
    ),
)

PREFLIGHT: dict[str, Rule] = {rule.id: rule for rule in _ROWS}
"""All of them by id."""
