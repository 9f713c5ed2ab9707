variable "project" {
  description = "The project's id."
  type        = string
}

variable "region" {
  description = "The region of job and bucket."
  type        = string
  default     = "europe-west1"
}

variable "network" {
  description = "The VPC network in which the database is."
  type        = string
  default     = "default"
}

variable "subnetwork" {
  description = "The subnetwork from which the job connects."
  type        = string
  default     = "default"
}

variable "image" {
  description = "The runner's image, built from deploy/cloudrun/Dockerfile."
  type        = string
}

variable "database_url_secret" {
  description = "The secret with the database's URI, as postgresql://deployer:...@10.0.0.5/fleet."
  type        = string
  default     = "fleet-database-url"
}

variable "migrations" {
  description = "The directory of the migrations."
  type        = string
}

variable "revision" {
  description = "What the ledger's source names beside the file, such as the commit."
  type        = string
  default     = ""
}
