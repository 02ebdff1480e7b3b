# A node group for each row of the catalogue. The tests copy this beside the roots in terraform/.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {
  region = "us-west-2"
}

module "nodegroup" {
  source             = "../modules/nodegroup"
  for_each           = yamldecode(file("${path.module}/../../charts/common/files/node-groups.yaml"))
  cluster_name       = "my-eks-cluster"
  nodegroup_name     = each.key
  node_role_arn      = "arn:aws:iam::123456789012:role/node"
  vpc_id             = "vpc-0123456789abcdef0"
  subnet_ids         = ["subnet-0123456789abcdef0"]
  security_group_ids = ["sg-0123456789abcdef0"]
  node               = each.value
}
