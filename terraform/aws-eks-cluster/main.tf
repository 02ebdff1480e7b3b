# An EKS cluster with everything but GPU nodes, which aws-eks-nodegroup adds.

provider "aws" {
  region  = var.region
  profile = var.profile
  default_tags {
    tags = { "mask-rcnn/cluster" = var.cluster_name }
  }
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
