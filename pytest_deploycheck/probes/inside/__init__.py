"""What is loaded into the processes of the sandbox; see ``sitecustomize.py``."""
