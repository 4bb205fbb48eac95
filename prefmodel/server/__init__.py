"""The HTTP server: our own endpoints, and those of the servers that people use already. Needs the extra `serve`."""
