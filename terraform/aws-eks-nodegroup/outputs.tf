output "mrc_values" {
  description = "What mrc-values plan --from-terraform reads, beside the output of aws-eks-cluster."
  value = {
    schema = 1
    region = var.region
    cluster = {
      name     = var.cluster_name
      version  = data.aws_eks_cluster.this.version
      endpoint = data.aws_eks_cluster.this.endpoint
      vpc_id   = data.aws_eks_cluster.this.vpc_config[0].vpc_id
    }
    node_groups = { (var.nodegroup_name) = merge(module.nodegroup.node_group, { node_group = var.node_group }) }
  }
}
