# What operators of EFA node groups ran into, each a run. The issues are named where they are public.

mock_provider "aws" {
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
  mock_resource "aws_eks_node_group" {
    defaults = { resources = [{ autoscaling_groups = [{ name = "group" }] }] }
  }
}

variables {
  cluster_name       = "my-eks-cluster"
  nodegroup_name     = "training"
  node_role_arn      = "arn:aws:iam::123456789012:role/node"
  vpc_id             = "vpc-0123456789abcdef0"
  subnet_ids         = ["subnet-0123456789abcdef0"]
  security_group_ids = ["sg-0123456789abcdef0"]
  node = {
    instance_type = "p4d.24xlarge"
    gpus          = 8
    efa           = 4
    nvme_gb       = 8000
    labels        = { "node.kubernetes.io/instance-type" = "p4d.24xlarge", "team" = "vision" }
    taints        = [{ key = "nvidia.com/gpu", effect = "NoSchedule" }]
  }
}

# pulumi-eks PR#1593
run "efa_in_two_subnets_is_rejected" {
  command = plan
  variables {
    subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  }
  expect_failures = [aws_eks_node_group.this]
}

# eksctl#3465, aws-k8s-tester PR#588
run "the_efa_group_is_on_every_interface_and_nowhere_else" {
  assert {
    condition = alltrue([
      for interface in aws_launch_template.this.network_interfaces :
      contains(interface.security_groups, aws_security_group.efa[0].id) &&
      contains(interface.security_groups, "sg-0123456789abcdef0")
    ])
    error_message = "an interface lacks a group"
  }
  assert {
    condition     = length(aws_launch_template.this.network_interfaces) == 4
    error_message = "four network cards"
  }
  assert {
    condition     = length(coalesce(aws_launch_template.this.vpc_security_group_ids, [])) == 0
    error_message = "EC2 rejects groups of the template beside those of the interfaces"
  }
}

# eksctl#8475
run "the_efa_group_has_no_cluster_tag" {
  command = plan
  assert {
    condition     = length(coalesce(aws_security_group.efa[0].tags, {})) == 0
    error_message = "the load balancer controller accepts exactly one tagged group"
  }
}

run "without_efa_the_template_has_the_groups" {
  command = plan
  variables {
    node = {
      instance_type = "g4dn.xlarge", gpus = 1, efa = 0, nvme_gb = 125, labels = {}, taints = []
    }
  }
  assert {
    condition     = aws_launch_template.this.vpc_security_group_ids == toset(["sg-0123456789abcdef0"])
    error_message = "the nodes have no group"
  }
  assert {
    condition     = length(aws_placement_group.this) + length(aws_security_group.efa) == 0
    error_message = "only EFA needs them"
  }
}

# terraform-aws-eks PR#3730
run "a_reservation_turns_the_placement_group_off" {
  command = plan
  variables {
    capacity_reservation_id = "cr-0123456789abcdef0"
  }
  assert {
    condition     = length(aws_placement_group.this) + length(aws_launch_template.this.placement) == 0
    error_message = "the reservation decides where its instances are"
  }
}

# provider#40876, terraform-aws-eks#1386
run "a_capacity_block_has_all_three_parts_and_its_type_in_one_place" {
  command = plan
  variables {
    capacity_type           = "CAPACITY_BLOCK"
    capacity_reservation_id = "cr-0123456789abcdef0"
  }
  assert {
    condition = (
      aws_eks_node_group.this.capacity_type == "CAPACITY_BLOCK" &&
      aws_launch_template.this.instance_market_options[0].market_type == "capacity-block" &&
      (aws_launch_template.this.capacity_reservation_specification[0].capacity_reservation_target[0]
      .capacity_reservation_id) == "cr-0123456789abcdef0"
    )
    error_message = "capacity type, market type, block"
  }
  assert {
    condition     = aws_launch_template.this.instance_type == "p4d.24xlarge"
    error_message = "the template needs the type"
  }
}

run "otherwise_the_node_group_has_the_type" {
  command = plan
  assert {
    condition = (
      aws_eks_node_group.this.instance_types == tolist(["p4d.24xlarge"]) && aws_launch_template.this.instance_type == null
    )
    error_message = "EKS rejects the type in both places"
  }
}

run "a_capacity_block_without_its_id_is_rejected" {
  command = plan
  variables {
    capacity_type = "CAPACITY_BLOCK"
  }
  expect_failures = [var.capacity_type]
}

# autoscaler#3780, #1869
run "the_autoscaler_knows_efa_and_storage_with_no_node" {
  command = plan
  assert {
    condition = aws_eks_node_group.this.tags == tomap({
      "k8s.io/cluster-autoscaler/node-template/resources/vpc.amazonaws.com/efa" = "4"
      "k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu"        = "8"
      "k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage"     = "8000G"
    })
    error_message = "tags"
  }
}

# autoscaler#6481, #5902, community#2208
run "the_taint_has_a_value_in_both_places" {
  assert {
    condition     = one(aws_eks_node_group.this.taint).value == "true" && one(aws_eks_node_group.this.taint).effect == "NO_SCHEDULE"
    error_message = "the node group's taint"
  }
  assert {
    condition     = aws_autoscaling_group_tag.taint["nvidia.com/gpu"].tag[0].value == "true:NoSchedule"
    error_message = "the tag of the Auto Scaling group"
  }
}

# containers-roadmap#1451, eksctl#4007
run "reserved_labels_are_left_to_the_kubelet" {
  command = plan
  assert {
    condition = aws_eks_node_group.this.labels == tomap({
      "team"                          = "vision"
      "mask-rcnn/node-group"          = "training"
      "nvidia.com/gpu.present"        = "true"
      "vpc.amazonaws.com/efa.present" = "true"
    })
    error_message = "labels"
  }
}

# containers-roadmap#2204
run "nodes_start_at_zero" {
  command = plan
  assert {
    condition     = aws_eks_node_group.this.scaling_config[0].min_size == 0 && aws_eks_node_group.this.scaling_config[0].desired_size == 0
    error_message = "GPU nodes cost by the hour"
  }
}

run "pods_do_not_reach_the_credentials_of_the_node" {
  command = plan
  assert {
    condition = (
      aws_launch_template.this.metadata_options[0].http_tokens == "required" &&
      aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    )
    error_message = "metadata options"
  }
}

# gpuhunt#233
run "a_retired_instance_type_is_a_warning" {
  command = plan
  variables {
    node = {
      instance_type = "p3.16xlarge", gpus = 8, efa = 0, nvme_gb = 0, retired = true, labels = {}, taints = []
    }
  }
  expect_failures = [check.still_offered]
}
