output "node_role_arn" {
  description = "IAM role of the nodes, for aws-eks-nodegroup."
  value       = module.environment.node_role_arn
}

output "subnet_ids" {
  description = "Private subnet of each zone, for aws-eks-nodegroup."
  value       = module.environment.subnet_ids
}

output "next_steps" {
  value = module.environment.next_steps
}

output "mrc_values" {
  description = "What mrc-values plan --from-terraform reads."
  value       = merge(module.environment.mrc_values, { node_groups = {} })
}
