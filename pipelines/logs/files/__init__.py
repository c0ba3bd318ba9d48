"""Finding and reading the files of the logs on the driver: local ones, and remote ones through Spark's connectors."""
