# A repository for each container image. Tags are immutable, so that a tag in values.yaml is always the same image.

resource "aws_ecr_repository" "this" {
  for_each             = toset(var.create ? var.repositories : [])
  name                 = each.key
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # images can be built again

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
  }
}

data "aws_ecr_repository" "existing" {
  for_each = toset(var.create ? [] : var.repositories)
  name     = each.key
}
