variable "profile" {
  description = "Profile of the AWS credentials; null: the default ones."
  type        = string
  default     = null
}

variable "region" {
  description = "Region, for example us-west-2."
  type        = string
}

variable "cluster_name" {
  description = "Name of the EKS cluster."
  type        = string
}

variable "nodegroup_name" {
  description = "Name of the node group."
  type        = string
}

variable "node_role_arn" {
  description = "IAM role of the nodes: the output node_role_arn of aws-eks-cluster."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the nodes, of the output subnet_ids of aws-eks-cluster. With EFA exactly one."
  type        = list(string)
}

variable "node_group" {
  description = "Row of charts/common/files/node-groups.yaml."
  type        = string
  default     = "p4d"
  validation {
    condition     = contains(keys(local.catalogue), var.node_group)
    error_message = "node_group: one of ${join(", ", keys(local.catalogue))}."
  }
}

variable "min_size" {
  description = "Nodes that always run."
  type        = number
  default     = 0
}

variable "max_size" {
  description = "Most nodes that the autoscaler starts."
  type        = number
  default     = 4
}

variable "capacity_type" {
  description = "ON_DEMAND, SPOT or CAPACITY_BLOCK."
  type        = string
  default     = "ON_DEMAND"
}

variable "capacity_reservation_id" {
  description = "Capacity reservation or capacity block to use; empty: none."
  type        = string
  default     = ""
}
