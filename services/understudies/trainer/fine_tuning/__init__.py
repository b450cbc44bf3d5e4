"""Train students by the fine-tuning API of a provider: upload, follow the job, pay, and serve by its endpoint."""
