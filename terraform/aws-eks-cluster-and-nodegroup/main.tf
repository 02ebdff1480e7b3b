# An EKS cluster with inference and training nodes, both started by the autoscaler when pods need them.

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

module "environment" {
  source               = "../modules/environment"
  cluster_name         = var.cluster_name
  region               = var.region
  azs                  = var.azs
  training_zone        = var.training_zone
  k8s_version          = var.k8s_version
  source_cidrs         = var.source_cidrs
  addons               = var.addons
  fsx                  = var.fsx
  fsx_storage_capacity = var.fsx_storage_capacity
  import_path          = var.import_path
  create_repositories  = var.create_repositories
}

module "inference" {
  source             = "../modules/nodegroup"
  cluster_name       = module.environment.cluster_name
  nodegroup_name     = "inference"
  node_role_arn      = module.environment.node_role_arn
  vpc_id             = module.environment.vpc_id
  subnet_ids         = values(module.environment.subnet_ids)
  security_group_ids = [module.environment.security_group_id]
  node               = local.catalogue[var.inference_node_group]
  max_size           = var.inference_max_size
}

module "training" {
  source                  = "../modules/nodegroup"
  cluster_name            = module.environment.cluster_name
  nodegroup_name          = "training"
  node_role_arn           = module.environment.node_role_arn
  vpc_id                  = module.environment.vpc_id
  subnet_ids              = [module.environment.training_subnet_id]
  security_group_ids      = [module.environment.security_group_id]
  node                    = local.catalogue[var.training_node_group]
  max_size                = var.training_max_size
  capacity_type           = var.capacity_type
  capacity_reservation_id = var.capacity_reservation_id
}
