"""The checks, one module per concept. A check acts, observes and asserts; it knows ``Stack``, not Supervisor."""
