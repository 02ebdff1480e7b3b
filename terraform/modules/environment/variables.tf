variable "cluster_name" {
  description = "Name of the EKS cluster, and the start of the names of everything else."
  type        = string
  validation {
    condition     = can(regex("^[0-9A-Za-z][0-9A-Za-z-]{0,35}$", var.cluster_name))
    error_message = "cluster_name: 1 to 36 letters, digits and hyphens, because names of buckets and roles start with it."
  }
}

variable "region" {
  description = "Region of the zones."
  type        = string
}

variable "azs" {
  description = "Two or three zones."
  type        = list(string)
  validation {
    condition     = length(distinct(var.azs)) == length(var.azs) && contains([2, 3], length(var.azs))
    error_message = "azs: two or three different zones; EKS needs two, and the address plan has room for three."
  }
  validation {
    condition     = alltrue([for zone in var.azs : startswith(zone, var.region)])
    error_message = "azs: every zone must be in ${var.region}."
  }
}

variable "training_zone" {
  description = "Zone of FSx and of the training nodes; null: the first of azs."
  type        = string
  default     = null
  validation {
    condition     = var.training_zone == null || contains(var.azs, coalesce(var.training_zone, "none"))
    error_message = "training_zone: one of azs, ${join(", ", var.azs)}."
  }
}

variable "k8s_version" {
  description = "Kubernetes version of the control plane."
  type        = string
}

variable "source_cidrs" {
  description = "Networks that may reach the API server from outside the VPC. Empty: the endpoint is private."
  type        = list(string)
}

variable "addons" {
  description = "Install the EKS add-ons."
  type        = bool
  default     = true
}

variable "fsx" {
  description = "Create a file system of FSx for Lustre."
  type        = bool
}

variable "fsx_storage_capacity" {
  description = "Size of FSx in GiB."
  type        = number
}

variable "import_path" {
  description = "Associate FSx's /data with this S3 URL of loose objects; empty: no association."
  type        = string
}

variable "create_repositories" {
  description = "Create the ECR repositories. False: they exist in this account and region."
  type        = bool
  default     = true
}
