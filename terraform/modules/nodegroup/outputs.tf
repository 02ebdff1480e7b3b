output "node_group" {
  value = {
    name          = aws_eks_node_group.this.node_group_name
    instance_type = var.node.instance_type
    max_size      = var.max_size
    subnet_ids    = var.subnet_ids
  }
}
