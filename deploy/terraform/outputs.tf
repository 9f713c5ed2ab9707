output "applied" {
  description = "The hash of the migrations that were applied; known after the command has succeeded. What refers to it, such as the application, waits for the migrations."
  value       = terraform_data.run.output
}
