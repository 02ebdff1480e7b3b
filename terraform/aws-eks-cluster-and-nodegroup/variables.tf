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

variable "azs" {
  description = "Two or three zones of the region. GPU instance types are not offered in all of them."
  type        = list(string)
}

variable "training_zone" {
  description = "Zone of FSx and of the training nodes; null: the first of azs."
  type        = string
  default     = null
}

variable "k8s_version" {
  description = "Kubernetes version of the control plane."
  type        = string
  default     = "1.34"
}

variable "source_cidrs" {
  description = "Networks that may reach the API server from outside the VPC. Empty: the endpoint is private."
  type        = list(string)
  default     = []
}

variable "addons" {
  description = "Install the EKS add-ons."
  type        = bool
  default     = true
}

variable "fsx" {
  description = "Create a file system of FSx for Lustre. It costs by its size, whether used or not."
  type        = bool
  default     = true
}

variable "fsx_storage_capacity" {
  description = "Size of FSx in GiB: 1200 or a multiple of 2400."
  type        = number
  default     = 1200
}

variable "import_path" {
  description = "Associate FSx's /data with this S3 URL of loose objects; empty: no association."
  type        = string
  default     = ""
}

variable "create_repositories" {
  description = "Create the ECR repositories. False: they exist, from mrc-images push or another cluster."
  type        = bool
  default     = true
}

variable "training_node_group" {
  description = "Row of charts/common/files/node-groups.yaml for the training nodes."
  type        = string
  default     = "p4d"
  validation {
    condition     = contains(keys(local.catalogue), var.training_node_group)
    error_message = "training_node_group: one of ${join(", ", keys(local.catalogue))}."
  }
}

variable "training_max_size" {
  description = "Most training nodes that the autoscaler starts."
  type        = number
  default     = 4
}

variable "inference_node_group" {
  description = "Row of charts/common/files/node-groups.yaml for the inference nodes."
  type        = string
  default     = "g4dn"
  validation {
    condition     = contains(keys(local.catalogue), var.inference_node_group)
    error_message = "inference_node_group: one of ${join(", ", keys(local.catalogue))}."
  }
}

variable "inference_max_size" {
  description = "Most inference nodes that the autoscaler starts."
  type        = number
  default     = 2
}

variable "capacity_type" {
  description = "Capacity of the training nodes: ON_DEMAND, SPOT or CAPACITY_BLOCK."
  type        = string
  default     = "ON_DEMAND"
}

variable "capacity_reservation_id" {
  description = "Capacity reservation or capacity block of the training nodes; empty: none."
  type        = string
  default     = ""
}
