"""The checks in a process of their own, beside the project's own tests: pytest-xdist's ``-n``.

It is a fork of pytest's process, which has imported everything already, and tells that one what happens.
"""
