#!/bin/sh
set -e
python manage.py migrate --noinput
exec gunicorn shop.asgi:application -k uvicorn_worker.UvicornWorker --bind 0.0.0.0:8000 --workers 2
