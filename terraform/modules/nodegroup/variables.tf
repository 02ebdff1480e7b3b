variable "cluster_name" {
  description = "Name of the EKS cluster."
  type        = string
}

variable "nodegroup_name" {
  description = "Name of the node group."
  type        = string
}

variable "node_role_arn" {
  description = "IAM role of the nodes."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the nodes. With EFA exactly one: EFA does not cross zones."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of every network interface, usually the cluster's own."
  type        = list(string)
}

variable "node" {
  description = "What the nodes are: a row of node-groups.yaml in the charts."
  type = object({
    instance_type = string
    gpus          = number
    efa           = number
    nvme_gb       = number
    retired       = optional(bool, false)
    labels        = map(string)
    taints        = list(object({ key = string, value = optional(string, "true"), effect = string }))
  })
}

variable "min_size" {
  type    = number
  default = 0
}

variable "max_size" {
  type    = number
  default = 4
}

variable "desired_size" {
  description = "Nodes at the start; later the autoscaler changes it."
  type        = number
  default     = 0
}

variable "volume_size" {
  description = "Root volume in GiB."
  type        = number
  default     = 200
}

variable "capacity_type" {
  type    = string
  default = "ON_DEMAND"
  validation {
    condition     = contains(["ON_DEMAND", "SPOT", "CAPACITY_BLOCK"], var.capacity_type)
    error_message = "capacity_type: ON_DEMAND, SPOT or CAPACITY_BLOCK."
  }
  validation {
    condition     = var.capacity_type != "CAPACITY_BLOCK" || var.capacity_reservation_id != ""
    error_message = "capacity_type CAPACITY_BLOCK needs capacity_reservation_id, the block that was bought."
  }
}

variable "capacity_reservation_id" {
  description = "Capacity reservation or capacity block to use."
  type        = string
  default     = ""
}
