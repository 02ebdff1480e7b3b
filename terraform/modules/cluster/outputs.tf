output "name" {
  value = aws_eks_cluster.this.name
}

output "version" {
  value = aws_eks_cluster.this.version
}

output "endpoint" {
  description = "URL of the API server."
  value       = aws_eks_cluster.this.endpoint
}

output "security_group_id" {
  description = "The group that EKS creates, which nodes and control plane share."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

# Nodes that use this output are created after the add-ons that they need, and destroyed before them.
output "node_role_arn" {
  value      = aws_iam_role.node.arn
  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.before_nodes]
}
