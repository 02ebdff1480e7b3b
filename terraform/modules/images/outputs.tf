output "repositories" {
  description = "URL of each repository, by name."
  value = {
    for name, repository in merge(aws_ecr_repository.this, data.aws_ecr_repository.existing) :
    name => repository.repository_url
  }
}
