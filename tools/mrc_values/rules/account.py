"""The AWS account, before `terraform apply`.

`mrc-values preflight` reports these rules. Their examples show the state of an account.
"""

from functools import partial

from mrc_cli.findings import Severity

from mrc_values.rules.registry import declare

_rule = partial(declare, __name__, needs_cluster=True)

_rule(
    "MRC150",
    Severity.ERROR,
    "the region has the instance type",
    "EKS creates a node group of a type that the region does not have or that AWS has retired, and the group "
    "then fails to start nodes, minutes into terraform apply.",
    failing="mrc-values preflight --region us-west-2 --node-group p3 --nodes 1",
    passing="mrc-values preflight --region us-west-2 --node-group p4d --nodes 1",
)
_rule(
    "MRC151",
    Severity.ERROR,
    "the training zone offers the instance type",
    "Large GPU instances are offered in some zones of a region only, and names of zones differ between "
    "accounts. Nodes with EFA and FSx are in one zone, which has to be one of these.",
    failing="--zone us-west-2d, and p4d.24xlarge is offered in us-west-2a and us-west-2b",
    passing="--zone us-west-2a",
)
_rule(
    "MRC152",
    Severity.ERROR,
    "the vCPU quotas suffice",
    "AWS limits the vCPUs of running On-Demand instances by class. The quota of P instances is 0 in new "
    "accounts, and an increase takes days. The autoscaler keeps trying, without a message to the job.",
    failing="quota Running On-Demand P instances: 96, and 4 p4d nodes have 384 vCPUs",
    passing="the same quota: 384",
)
_rule(
    "MRC153",
    Severity.ERROR,
    "there is room for a VPC and its address",
    "Terraform creates a VPC and a public address for the NAT gateway. A region has 5 of each unless the "
    "quota was raised.",
    failing="5 VPCs in us-west-2, and a quota of 5",
    passing="4 VPCs in us-west-2, and a quota of 5",
)
_rule(
    "MRC154",
    Severity.ERROR,
    "the capacity reservation is active and fits",
    "A reservation or capacity block is for one instance type in one zone, and for a time. Nodes that do not "
    "match it are not started from it.",
    failing="--reservation cr-0123456789abcdef0, which is expired",
    passing="--reservation cr-0123456789abcdef0, active, p4d.24xlarge, 4 free",
)
_rule(
    "MRC155",
    Severity.ERROR,
    "the bucket is in the cluster's region",
    "FSx imports automatically from buckets of its own region only, and reading across regions is slow and "
    "costs by the gigabyte.",
    failing="--region us-west-2 --bucket my-data, which is in eu-west-1",
    passing="the same bucket in us-west-2",
)
