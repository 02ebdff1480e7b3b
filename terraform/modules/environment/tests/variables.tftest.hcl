mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
}

variables {
  region               = "us-west-2"
  cluster_name         = "my-eks-cluster"
  azs                  = ["us-west-2a", "us-west-2b"]
  k8s_version          = "1.34"
  source_cidrs         = []
  fsx                  = true
  fsx_storage_capacity = 1200
  import_path          = ""
}

run "a_zone_of_another_region" {
  command = plan
  variables {
    azs = ["us-west-2a", "us-east-1b"]
  }
  expect_failures = [var.azs]
}

run "a_single_zone" {
  command = plan
  variables {
    azs = ["us-west-2a"]
  }
  expect_failures = [var.azs]
}

run "one_zone_twice" {
  command = plan
  variables {
    azs = ["us-west-2a", "us-west-2a"]
  }
  expect_failures = [var.azs]
}

run "training_in_a_zone_without_a_subnet" {
  command = plan
  variables {
    training_zone = "us-west-2c"
  }
  expect_failures = [var.training_zone]
}

run "a_name_that_no_bucket_can_start_with" {
  command = plan
  variables {
    cluster_name = "my_cluster"
  }
  expect_failures = [var.cluster_name]
}
