mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
}

variables {
  cluster_name = "my-eks-cluster"
  azs          = ["us-west-2a", "us-west-2b", "us-west-2c"]
}

run "subnets_of_three_zones_do_not_overlap" {
  command = plan
  assert {
    condition = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == {
      us-west-2a = "192.168.64.0/18"
      us-west-2b = "192.168.128.0/18"
      us-west-2c = "192.168.192.0/18"
    }
    error_message = "private"
  }
  assert {
    condition = { for zone, subnet in aws_subnet.public : zone => subnet.cidr_block } == {
      us-west-2a = "192.168.0.0/24"
      us-west-2b = "192.168.1.0/24"
      us-west-2c = "192.168.2.0/24"
    }
    error_message = "public"
  }
}

run "private_subnets_have_no_way_in" {
  assert {
    condition     = alltrue([for route in aws_route_table.private.route : route.nat_gateway_id == aws_nat_gateway.this.id])
    error_message = "private subnets reach the internet through the NAT gateway only"
  }
}

run "s3_is_not_charged_by_the_nat_gateway" {
  command = plan
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.service_name == "com.amazonaws.us-west-2.s3"
    error_message = "endpoint"
  }
}
