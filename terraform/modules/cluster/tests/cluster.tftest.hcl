mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-west-2:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }
}

variables {
  cluster_name = "my-eks-cluster"
  k8s_version  = "1.34"
  subnet_ids   = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  source_cidrs = []
  addons       = true
}

run "the_api_server_is_private" {
  command = plan
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "endpoint"
  }
}

run "named_networks_reach_the_api_server" {
  command = plan
  variables {
    source_cidrs = ["203.0.113.0/24"]
  }
  assert {
    condition = (
      aws_eks_cluster.this.vpc_config[0].endpoint_public_access &&
      aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["203.0.113.0/24"])
    )
    error_message = "endpoint"
  }
}

# terraform-aws-eks#2004, #2048, provider#20405: the order on destroy is tested with the plan of the root.
run "the_add_ons_are_those_of_terraform_alone" {
  command = plan
  assert {
    condition     = !aws_eks_cluster.this.bootstrap_self_managed_addons
    error_message = "add-ons that EKS installs by itself are in nobody's state"
  }
  assert {
    condition     = keys(aws_eks_addon.before_nodes) == ["eks-pod-identity-agent", "kube-proxy", "vpc-cni"]
    error_message = "add-ons"
  }
}

# aws-efs-csi-driver#362: Pod Identity gives the drivers credentials and region, so that they need no metadata.
run "drivers_and_autoscaler_have_roles_of_their_own" {
  command = plan
  assert {
    condition = toset(values(aws_eks_pod_identity_association.pods)[*].service_account) == toset([
      "cluster-autoscaler", "efs-csi-controller-sa", "fsx-csi-controller-sa"
    ])
    error_message = "associations"
  }
}
