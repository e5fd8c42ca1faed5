"""A container that nobody has built: the image's command, under the terms that a platform or a cluster gives it."""
