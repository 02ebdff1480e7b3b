mock_provider "aws" {}

run "a_tag_is_always_the_same_image_and_each_push_is_scanned" {
  command = plan
  assert {
    condition = alltrue([
      for repository in aws_ecr_repository.this :
      repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push
    ])
    error_message = "repositories"
  }
}

run "repositories_of_another_cluster_are_used" {
  command = plan
  variables {
    create = false
  }
  assert {
    condition     = length(aws_ecr_repository.this) == 0 && length(output.repositories) == length(var.repositories)
    error_message = "repositories"
  }
}
