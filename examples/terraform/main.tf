# The function's stack, deployed by Terraform or OpenTofu. Before each apply, in the project's folder:
# ./lambda_build.sh --template dist/template.yaml

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "project" {
  description = "The folder of this project."
  type        = string
  default     = "../.."
}

variable "bucket" {
  description = "A bucket of yours in the region of the stack, for the zip and the template."
  type        = string
}

variable "parameters" {
  description = "Stack parameters: docs/deployment.md describes them."
  type        = map(string)
  default = {
    ClusterNames  = "*"
    AlarmTopicArn = ""
  }
}

variable "tags" {
  description = "Tags of the stack and its resources."
  type        = map(string)
  default     = {}
}

locals {
  zip      = "${var.project}/dist/ecs-task-recycle.zip"
  template = "${var.project}/dist/template.yaml"
}

data "aws_s3_bucket" "code" {
  bucket = var.bucket
}

# Another zip has another key: that is how CloudFormation learns of new code. The old one goes last,
# so that an update that fails can be rolled back.
resource "aws_s3_object" "zip" {
  bucket = data.aws_s3_bucket.code.id
  key    = "ecs-task-recycle/${filesha256(local.zip)}.zip"
  source = local.zip

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_s3_object" "template" {
  bucket = data.aws_s3_bucket.code.id
  key    = "ecs-task-recycle/${filesha256(local.template)}.yaml"
  source = local.template

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudformation_stack" "recycler" {
  name         = "ecs-task-recycle"
  template_url = "https://${data.aws_s3_bucket.code.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM"]
  tags         = var.tags

  parameters = merge(var.parameters, {
    CodeBucket = aws_s3_object.zip.bucket
    CodeKey    = aws_s3_object.zip.key
  })
}

output "stack" {
  description = "The function's name, its version, and the commands to invoke and to watch it."
  value       = aws_cloudformation_stack.recycler.outputs
}
