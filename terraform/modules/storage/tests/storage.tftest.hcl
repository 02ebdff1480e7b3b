mock_provider "aws" {
  mock_resource "aws_fsx_lustre_file_system" {
    defaults = { id = "fs-0123456789abcdef0" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-west-2:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }
}

variables {
  cluster_name              = "my-eks-cluster"
  vpc_id                    = "vpc-0123456789abcdef0"
  cluster_security_group_id = "sg-0123456789abcdef0"
  subnet_ids = {
    us-west-2a = "subnet-0123456789abcdef0"
    us-west-2b = "subnet-0123456789abcdef1"
  }
  fsx      = true
  fsx_zone = "us-west-2b"
}

# aws-hpc-recipes#50, awsome-distributed-ai PR#839
run "lustre_has_its_ports_from_the_nodes_and_between_its_servers" {
  assert {
    condition = toset([for rule in aws_vpc_security_group_ingress_rule.nodes : [rule.from_port, rule.to_port]]) == toset([
      [2049, 2049], [988, 988], [1018, 1023]
    ])
    error_message = "from the nodes"
  }
  assert {
    condition = alltrue([
      for rule in concat(
        values(aws_vpc_security_group_ingress_rule.lustre)[*].referenced_security_group_id,
        values(aws_vpc_security_group_egress_rule.lustre)[*].referenced_security_group_id,
      ) : rule == aws_security_group.this["fsx"].id
    ]) && length(aws_vpc_security_group_ingress_rule.lustre) == 2 && length(aws_vpc_security_group_egress_rule.lustre) == 2
    error_message = "between the servers"
  }
}

run "fsx_is_in_the_zone_of_the_training_nodes" {
  command = plan
  assert {
    condition     = aws_fsx_lustre_file_system.this[0].subnet_ids == tolist(["subnet-0123456789abcdef1"])
    error_message = "zone"
  }
}

run "an_empty_import_path_makes_no_association" {
  command = plan
  assert {
    condition     = length(aws_fsx_data_repository_association.this) == 0
    error_message = "association"
  }
}

run "an_import_path_is_associated_with_data" {
  command = plan
  variables {
    import_path = "s3://bucket/coco"
  }
  assert {
    condition     = aws_fsx_data_repository_association.this[0].file_system_path == "/data"
    error_message = "association"
  }
}

run "an_import_path_that_is_no_url_is_rejected" {
  command = plan
  variables {
    import_path = "bucket/coco"
  }
  expect_failures = [var.import_path]
}

run "sizes_that_fsx_does_not_have_are_rejected" {
  command = plan
  variables {
    fsx_storage_capacity = 2000
  }
  expect_failures = [var.fsx_storage_capacity]
}

# aws-cdk#10170
run "every_zone_has_one_mount_target" {
  command = plan
  assert {
    condition     = keys(aws_efs_mount_target.this) == ["us-west-2a", "us-west-2b"]
    error_message = "mount targets"
  }
}

run "without_fsx_nothing_of_it_is_created" {
  command = plan
  variables {
    fsx = false
  }
  assert {
    condition     = keys(aws_security_group.this) == ["efs"] && length(aws_fsx_lustre_file_system.this) == 0 && output.fsx == null
    error_message = "FSx"
  }
}

run "the_bucket_is_private_and_survives_destroy_while_it_has_objects" {
  command = plan
  assert {
    condition = (
      aws_s3_bucket_public_access_block.data.block_public_policy && aws_s3_bucket_public_access_block.data.block_public_acls &&
      aws_s3_bucket_public_access_block.data.restrict_public_buckets && !aws_s3_bucket.data.force_destroy
    )
    error_message = "bucket"
  }
}
