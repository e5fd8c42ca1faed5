"""Reverse proxies: how their production configuration is made to run in a sandbox. One module each."""

from pytest_deploycheck.proxies import caddy, haproxy, nginx, traefik

MODULES = (caddy, haproxy, nginx, traefik)
