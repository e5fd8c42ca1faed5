"""How a project is run for real: one module per process manager, behind the ``Stack`` protocol."""
