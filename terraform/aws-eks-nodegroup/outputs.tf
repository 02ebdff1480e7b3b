output "mrc_values" {
  description = "What mrc-values plan --from-terraform reads, beside the output of aws-eks-cluster."
  value = {
    schema      = 1
    region      = var.region
    cluster     = { name = var.cluster_name, version = data.aws_eks_cluster.this.version }
    node_groups = { (var.nodegroup_name) = merge(module.nodegroup.node_group, { node_group = var.node_group }) }
  }
}
