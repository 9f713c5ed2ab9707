variable "directory" {
  description = "The directory of the migrations."
  type        = string
}

variable "command" {
  description = "Shell command that applies them and fails when that fails, such as \"tapmig up\"; TAPMIG_DIR is set to the directory."
  type        = string
}

variable "upload" {
  description = "Shell command that brings the directory to where the command reads it; it has ended when the command begins. None: nothing is uploaded."
  type        = string
  default     = null
}

variable "environment" {
  description = "Environment of both commands, beside Terraform's own. No secrets: they would be in the plan; leave DATABASE_URL to Terraform's environment."
  type        = map(string)
  default     = {}
}

variable "triggers" {
  description = "Further values whose change runs the command again, such as the database's identity."
  type        = map(string)
  default     = {}
}
