variable "cluster_name" {
  description = "Name of the EKS cluster, for tags."
  type        = string
}

variable "azs" {
  description = "Zones. Each gets a private and a public subnet."
  type        = list(string)
}

variable "cidr_vpc" {
  description = "Address range of the VPC, a /16."
  type        = string
  default     = "192.168.0.0/16"
}
