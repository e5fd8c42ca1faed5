#!/bin/sh
# Started by hand on the server, from the folder of the project.
set -e
cd "$(dirname "$0")/.."
exec uvicorn weather.api:create_app --factory --app-dir src \
    --host 0.0.0.0 --port 9010 --workers ${WORKERS:-2}
