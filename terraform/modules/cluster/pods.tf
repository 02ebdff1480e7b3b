# Roles of pods, by EKS Pod Identity. Volumes are static, so the CSI drivers only look file systems up.

data "aws_iam_policy_document" "assume_pods" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "pods" {
  for_each = local.pods

  dynamic "statement" {
    for_each = each.value.statements
    content {
      actions   = statement.value.actions
      resources = ["*"]

      dynamic "condition" {
        for_each = statement.value.owned_by_autoscaler ? [1] : []
        content {
          test     = "StringEquals"
          variable = "aws:ResourceTag/k8s.io/cluster-autoscaler/${var.cluster_name}"
          values   = ["owned"]
        }
      }
    }
  }
}

locals {
  pods = {
    autoscaler = {
      namespace       = "kube-system"
      service_account = "cluster-autoscaler"
      statements = [
        {
          actions = [
            "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeLaunchConfigurations", "autoscaling:DescribeScalingActivities",
            "autoscaling:DescribeTags", "ec2:DescribeImages", "ec2:DescribeInstanceTypes",
            "ec2:DescribeLaunchTemplateVersions", "ec2:GetInstanceTypesFromInstanceRequirements",
            "eks:DescribeNodegroup",
          ]
          owned_by_autoscaler = false
        },
        {
          actions             = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
          owned_by_autoscaler = true
        },
      ]
    }
    efs-csi = {
      namespace       = "kube-system"
      service_account = "efs-csi-controller-sa"
      statements = [{
        actions = [
          "elasticfilesystem:DescribeAccessPoints", "elasticfilesystem:DescribeFileSystems",
          "elasticfilesystem:DescribeMountTargets", "ec2:DescribeAvailabilityZones",
        ]
        owned_by_autoscaler = false
      }]
    }
    fsx-csi = {
      namespace       = "kube-system"
      service_account = "fsx-csi-controller-sa"
      statements = [{
        actions             = ["fsx:DescribeFileSystems"]
        owned_by_autoscaler = false
      }]
    }
  }
}

resource "aws_iam_role" "pods" {
  for_each           = local.pods
  name               = "${var.cluster_name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assume_pods.json
}

resource "aws_iam_role_policy" "pods" {
  for_each = local.pods
  name     = each.key
  role     = aws_iam_role.pods[each.key].id
  policy   = data.aws_iam_policy_document.pods[each.key].json
}

resource "aws_eks_pod_identity_association" "pods" {
  for_each        = var.addons ? local.pods : {}
  cluster_name    = aws_eks_cluster.this.name
  namespace       = each.value.namespace
  service_account = each.value.service_account
  role_arn        = aws_iam_role.pods[each.key].arn
}
