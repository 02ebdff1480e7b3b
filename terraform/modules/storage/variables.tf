variable "cluster_name" {
  description = "Name of the EKS cluster."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}

variable "cluster_security_group_id" {
  description = "Security group of the nodes, which mount the file systems."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnet of each zone."
  type        = map(string)
}

variable "fsx" {
  description = "Create a file system of FSx for Lustre."
  type        = bool
}

variable "fsx_zone" {
  description = "Zone of FSx, the one of the training nodes."
  type        = string
}

variable "fsx_storage_capacity" {
  description = "Size of FSx in GiB."
  type        = number
  default     = 1200
  validation {
    condition     = var.fsx_storage_capacity == 1200 || (var.fsx_storage_capacity > 0 && var.fsx_storage_capacity % 2400 == 0)
    error_message = "fsx_storage_capacity: 1200 or a multiple of 2400 GiB."
  }
}

variable "import_path" {
  description = "Associate FSx's /data with this S3 URL of loose objects; empty: no association."
  type        = string
  default     = ""
  validation {
    condition     = var.import_path == "" || startswith(var.import_path, "s3://")
    error_message = "import_path: an S3 URL such as s3://bucket/prefix, or empty."
  }
}
