"""What the server imports: the app with this deployment's settings."""

import gc

from {{ cookiecutter.project_slug }} import logs
from {{ cookiecutter.project_slug }}.application import create_app
from {{ cookiecutter.project_slug }}.settings import load

settings = load()
logs.configure(settings.log_level)
app = create_app(settings)

# What was imported stays: Python's garbage collector need not look at it, neither between requests nor at the end.
gc.freeze()
gc.enable()  # servers import the app without it: a tenth faster
