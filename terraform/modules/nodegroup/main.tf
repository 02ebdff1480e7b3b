# A managed node group whose instances, EFA interfaces, labels and taints follow from the charts' catalogue.

locals {
  has_efa  = var.node.efa > 0
  reserved = var.capacity_reservation_id != ""
  block    = var.capacity_type == "CAPACITY_BLOCK"
  effects  = { NoSchedule = "NO_SCHEDULE", NoExecute = "NO_EXECUTE", PreferNoSchedule = "PREFER_NO_SCHEDULE" }

  # The kubelet sets labels with these prefixes itself, and EKS rejects them.
  allowed = {
    for key, value in var.node.labels : key => value
    if !can(regex("(^|\\.)(kubernetes\\.io|k8s\\.io|eks\\.amazonaws\\.com)/", key))
  }

  # The last two select the nodes of the device plugins.
  labels = merge(
    local.allowed,
    { "mask-rcnn/node-group" = var.nodegroup_name },
    var.node.gpus > 0 ? { "nvidia.com/gpu.present" = "true" } : {},
    local.has_efa ? { "vpc.amazonaws.com/efa.present" = "true" } : {},
  )

  # With no node running, the autoscaler learns from these tags what a new one would offer.
  template = "k8s.io/cluster-autoscaler/node-template"
  resources = merge(
    { "ephemeral-storage" = "${max(var.node.nvme_gb, var.volume_size)}G" },
    var.node.gpus > 0 ? { "nvidia.com/gpu" = tostring(var.node.gpus) } : {},
    local.has_efa ? { "vpc.amazonaws.com/efa" = tostring(var.node.efa) } : {},
  )
}

# A reservation decides where its instances are.
resource "aws_placement_group" "this" {
  count    = local.has_efa && !local.reserved ? 1 : 0
  name     = "${var.cluster_name}-${var.nodegroup_name}"
  strategy = "cluster"
}

# EFA traffic is allowed only between members of one group, in both directions. The group has no cluster tag: the
# load balancer controller accepts exactly one tagged group on an interface.
resource "aws_security_group" "efa" {
  count       = local.has_efa ? 1 : 0
  name_prefix = "${var.cluster_name}-${var.nodegroup_name}-efa-"
  description = "EFA between the nodes of ${var.nodegroup_name}"
  vpc_id      = var.vpc_id
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "efa" {
  count                        = local.has_efa ? 1 : 0
  description                  = "EFA from the other nodes"
  security_group_id            = aws_security_group.efa[0].id
  referenced_security_group_id = aws_security_group.efa[0].id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_egress_rule" "efa" {
  count                        = local.has_efa ? 1 : 0
  description                  = "EFA to the other nodes"
  security_group_id            = aws_security_group.efa[0].id
  referenced_security_group_id = aws_security_group.efa[0].id
  ip_protocol                  = "-1"
}

resource "aws_launch_template" "this" {
  name_prefix            = "${var.cluster_name}-${var.nodegroup_name}-"
  update_default_version = true
  instance_type          = local.block ? var.node.instance_type : null
  vpc_security_group_ids = local.has_efa ? null : var.security_group_ids

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size = var.volume_size
      volume_type = "gp3"
      encrypted   = true
    }
  }

  # One hop: pods do not reach the node's credentials.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # One interface on each network card.
  dynamic "network_interfaces" {
    for_each = range(var.node.efa)
    content {
      network_card_index          = network_interfaces.value
      device_index                = network_interfaces.value == 0 ? 0 : 1
      interface_type              = network_interfaces.value == 0 ? "efa" : "efa-only"
      delete_on_termination       = true
      associate_public_ip_address = network_interfaces.value == 0 ? false : null
      security_groups             = concat(var.security_group_ids, aws_security_group.efa[*].id)
    }
  }

  # AWS does not copy tags of a node group to its instances, and bills are split by them.
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "${var.cluster_name}-${var.nodegroup_name}", "mask-rcnn/cluster" = var.cluster_name }
  }

  dynamic "placement" {
    for_each = aws_placement_group.this
    content {
      group_name = placement.value.name
    }
  }

  dynamic "instance_market_options" {
    for_each = local.block ? [1] : []
    content {
      market_type = "capacity-block"
    }
  }

  dynamic "capacity_reservation_specification" {
    for_each = local.reserved ? [1] : []
    content {
      capacity_reservation_target {
        capacity_reservation_id = var.capacity_reservation_id
      }
    }
  }

  # The instance's own disks become one volume for images and emptyDirs.
  user_data = var.node.nvme_gb == 0 ? null : base64encode(<<-EOT
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary="//"

    --//
    Content-Type: application/node.eks.aws

    apiVersion: node.eks.aws/v1alpha1
    kind: NodeConfig
    spec:
      instance:
        localStorage:
          strategy: RAID0

    --//--
  EOT
  )

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_eks_node_group" "this" {
  cluster_name    = var.cluster_name
  node_group_name = var.nodegroup_name
  node_role_arn   = var.node_role_arn
  subnet_ids      = var.subnet_ids
  ami_type        = var.node.gpus > 0 ? "AL2023_x86_64_NVIDIA" : "AL2023_x86_64_STANDARD"
  instance_types  = local.block ? null : [var.node.instance_type]
  capacity_type   = var.capacity_type
  labels          = local.labels

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  scaling_config {
    min_size     = var.min_size
    max_size     = var.max_size
    desired_size = var.desired_size
  }

  dynamic "taint" {
    for_each = var.node.taints
    content {
      key    = taint.value.key
      value  = taint.value.value
      effect = local.effects[taint.value.effect]
    }
  }

  tags = { for name, amount in local.resources : "${local.template}/resources/${name}" => amount }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
    precondition {
      condition     = !local.has_efa || length(var.subnet_ids) == 1
      error_message = "${var.node.instance_type} uses EFA, which does not cross zones: give one subnet, not ${length(var.subnet_ids)}."
    }
  }
}

# The autoscaler reads all of this from the node group, except taints: those it finds on the Auto Scaling group.
resource "aws_autoscaling_group_tag" "taint" {
  for_each               = { for taint in var.node.taints : taint.key => taint }
  autoscaling_group_name = aws_eks_node_group.this.resources[0].autoscaling_groups[0].name
  tag {
    key                 = "${local.template}/taint/${each.key}"
    value               = "${each.value.value}:${each.value.effect}"
    propagate_at_launch = false
  }
}

check "still_offered" {
  assert {
    condition     = !var.node.retired
    error_message = "${var.nodegroup_name}: AWS no longer offers ${var.node.instance_type}. Use a newer node group, such as p4d."
  }
}
