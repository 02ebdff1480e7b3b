# A node group for a cluster of aws-eks-cluster.

provider "aws" {
  region  = var.region
  profile = var.profile
  default_tags {
    tags = { "mask-rcnn/cluster" = var.cluster_name }
  }
}

locals {
  catalogue = yamldecode(file("${path.module}/../../charts/common/files/node-groups.yaml"))
}

data "aws_eks_cluster" "this" {
  name = var.cluster_name
}

module "nodegroup" {
  source                  = "../modules/nodegroup"
  cluster_name            = var.cluster_name
  nodegroup_name          = var.nodegroup_name
  node_role_arn           = var.node_role_arn
  vpc_id                  = data.aws_eks_cluster.this.vpc_config[0].vpc_id
  subnet_ids              = var.subnet_ids
  security_group_ids      = [data.aws_eks_cluster.this.vpc_config[0].cluster_security_group_id]
  node                    = local.catalogue[var.node_group]
  min_size                = var.min_size
  max_size                = var.max_size
  desired_size            = var.min_size
  capacity_type           = var.capacity_type
  capacity_reservation_id = var.capacity_reservation_id
}
