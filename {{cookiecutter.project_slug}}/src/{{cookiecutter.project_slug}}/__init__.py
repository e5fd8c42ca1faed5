"""An HTTP API for notes."""
