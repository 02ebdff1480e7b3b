# Everything around the GPU nodes: network, control plane, system nodes, add-ons, file systems and repositories.

locals {
  training_zone = coalesce(var.training_zone, var.azs[0])

  # For the pods of the cluster itself; the GPU nodes have rows in node-groups.yaml of the charts.
  system_node = { instance_type = "m5.xlarge", gpus = 0, efa = 0, nvme_gb = 0, labels = {}, taints = [] }

  # These have pods of their own, which wait for nodes.
  addons = [
    "coredns", "metrics-server", "aws-efs-csi-driver", "aws-fsx-csi-driver", "eks-node-monitoring-agent",
  ]
}

module "network" {
  source       = "../network"
  cluster_name = var.cluster_name
  azs          = var.azs
}

module "cluster" {
  source       = "../cluster"
  cluster_name = var.cluster_name
  k8s_version  = var.k8s_version
  subnet_ids   = values(module.network.private_subnet_ids)
  source_cidrs = var.source_cidrs
  addons       = var.addons
}

module "system" {
  source             = "../nodegroup"
  cluster_name       = module.cluster.name
  nodegroup_name     = "system"
  node_role_arn      = module.cluster.node_role_arn
  vpc_id             = module.network.vpc_id
  subnet_ids         = values(module.network.private_subnet_ids)
  security_group_ids = [module.cluster.security_group_id]
  node               = local.system_node
  min_size           = 2
  max_size           = 2
  desired_size       = 2
  volume_size        = 100
}

# The node pods of the CSI drivers tolerate every taint by default, so they run on the GPU nodes, too.
resource "aws_eks_addon" "after_nodes" {
  for_each                    = var.addons ? toset(local.addons) : toset([])
  cluster_name                = module.cluster.name
  addon_name                  = each.key
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  depends_on                  = [module.system]
}

module "storage" {
  source                    = "../storage"
  cluster_name              = var.cluster_name
  vpc_id                    = module.network.vpc_id
  cluster_security_group_id = module.cluster.security_group_id
  subnet_ids                = module.network.private_subnet_ids
  fsx                       = var.fsx
  fsx_zone                  = local.training_zone
  fsx_storage_capacity      = var.fsx_storage_capacity
  import_path               = var.import_path
}

module "images" {
  source = "../images"
  create = var.create_repositories
}
