# The control plane, the role of the nodes, the add-ons that nodes need, and roles for pods.

data "aws_partition" "current" {}

locals {
  managed_policy = "arn:${data.aws_partition.current.partition}:iam::aws:policy"

  node_policies = [
    "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
  ]
}

data "aws_iam_policy_document" "assume" {
  for_each = {
    eks = { service = "eks.amazonaws.com", actions = ["sts:AssumeRole"] }
    ec2 = { service = "ec2.amazonaws.com", actions = ["sts:AssumeRole"] }
  }
  statement {
    actions = each.value.actions
    principals {
      type        = "Service"
      identifiers = [each.value.service]
    }
  }
}

resource "aws_iam_role" "cluster" {
  name               = "${var.cluster_name}-cluster"
  assume_role_policy = data.aws_iam_policy_document.assume["eks"].json
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "${local.managed_policy}/AmazonEKSClusterPolicy"
}

resource "aws_kms_key" "secrets" {
  # checkov:skip=CKV2_AWS_64: without a policy of its own, the account's IAM policies decide who may use the key
  description             = "${var.cluster_name}: Kubernetes secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

resource "aws_cloudwatch_log_group" "cluster" {
  # checkov:skip=CKV_AWS_158: CloudWatch's own key suffices: the API server does not log the content of secrets
  # checkov:skip=CKV_AWS_338: 30 days, because the logs of a cluster that is destroyed after training help nobody later
  name              = "/aws/eks/${var.cluster_name}/cluster"
  retention_in_days = 30
}

resource "aws_eks_cluster" "this" {
  # checkov:skip=CKV_AWS_37: logs of scheduler and controller manager cost more than they tell; audit has who did what
  name                          = var.cluster_name
  role_arn                      = aws_iam_role.cluster.arn
  version                       = var.k8s_version
  enabled_cluster_log_types     = ["api", "audit", "authenticator"]
  bootstrap_self_managed_addons = false

  vpc_config {
    subnet_ids              = var.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = length(var.source_cidrs) > 0
    public_access_cidrs     = length(var.source_cidrs) > 0 ? var.source_cidrs : null
  }

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.secrets.arn
    }
  }

  # EKS needs the policies until its last network interface is deleted, and creates the log group if it is missing.
  depends_on = [aws_iam_role_policy_attachment.cluster, aws_cloudwatch_log_group.cluster]
}

resource "aws_iam_role" "node" {
  name               = "${var.cluster_name}-node"
  assume_role_policy = data.aws_iam_policy_document.assume["ec2"].json
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each   = toset(local.node_policies)
  role       = aws_iam_role.node.name
  policy_arn = "${local.managed_policy}/${each.key}"
}

resource "aws_eks_addon" "before_nodes" {
  for_each                    = var.addons ? toset(["vpc-cni", "kube-proxy", "eks-pod-identity-agent"]) : toset([])
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
}
