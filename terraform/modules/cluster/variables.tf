variable "cluster_name" {
  description = "Name of the EKS cluster."
  type        = string
}

variable "k8s_version" {
  description = "Kubernetes version of the control plane."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the control plane's network interfaces, in at least two zones."
  type        = list(string)
}

variable "source_cidrs" {
  description = "Networks that may reach the API server from outside the VPC. Empty: the endpoint is private."
  type        = list(string)
}

variable "addons" {
  description = "Install the add-ons that nodes need to become ready."
  type        = bool
}
