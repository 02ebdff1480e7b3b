variable "repositories" {
  description = "Names of the repositories: those that mrc-images pushes to."
  type        = list(string)
  default = [
    "mask-rcnn", "mask-rcnn-optimized", "mask-rcnn-viz", "mask-rcnn-optimized-viz", "mask-rcnn-serve", "mask-rcnn-stage",
  ]
}

variable "create" {
  description = "Create the repositories. False: they exist in this account and region."
  type        = bool
  default     = true
}
