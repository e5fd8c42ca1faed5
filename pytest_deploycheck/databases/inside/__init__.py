"""Scripts that run in the project's own Python, which need not have the plugin."""
