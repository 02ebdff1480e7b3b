output "cluster_name" {
  value = module.cluster.name
}

output "node_role_arn" {
  description = "IAM role of the nodes."
  value       = module.cluster.node_role_arn
}

output "vpc_id" {
  value = module.network.vpc_id
}

output "subnet_ids" {
  description = "Private subnet of each zone."
  value       = module.network.private_subnet_ids
}

output "training_subnet_id" {
  description = "Private subnet of the zone of FSx and of the training nodes."
  value       = module.network.private_subnet_ids[local.training_zone]
}

output "security_group_id" {
  description = "Security group of the nodes."
  value       = module.cluster.security_group_id
}

output "next_steps" {
  value = [
    "aws eks update-kubeconfig --region ${var.region} --name ${var.cluster_name}",
    (length(var.source_cidrs) > 0
      ? "The API server accepts connections from ${join(", ", var.source_cidrs)} and from the VPC."
    : "The API server is reachable only from inside the VPC. For access from elsewhere set source_cidrs."),
  ]
}

output "mrc_values" {
  description = "What mrc-values plan --from-terraform reads, without the GPU node groups."
  value = {
    schema = 1
    region = var.region
    cluster = {
      name     = module.cluster.name
      version  = module.cluster.version
      endpoint = module.cluster.endpoint
      vpc_id   = module.network.vpc_id
    }
    file_systems = { efs = module.storage.efs, fsx = module.storage.fsx }
    repositories = module.images.repositories
    bucket       = module.storage.bucket
  }
}
