# Mistakes in the variables are found before anything is created.

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
  region       = "us-west-2"
  cluster_name = "my-eks-cluster"
  azs          = ["us-west-2a", "us-west-2b", "us-west-2c"]
}

run "an_unknown_training_node_group" {
  command = plan
  variables {
    training_node_group = "p9"
  }
  expect_failures = [var.training_node_group]
}

run "an_unknown_inference_node_group" {
  command = plan
  variables {
    inference_node_group = "p9"
  }
  expect_failures = [var.inference_node_group]
}
