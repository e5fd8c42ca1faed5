#!/bin/sh
# What the official image's docker-entrypoint.sh does, as far as tests need it: see POSTGRES_IMAGE in images.py.
set -eu
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    find "$PGDATA" ! -user postgres -exec chown postgres {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    [ -z "${POSTGRES_PASSWORD_FILE-}" ] || POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    POSTGRES_USER=${POSTGRES_USER:-postgres}
    POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
    if [ -z "${POSTGRES_PASSWORD-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD-}" != trust ]; then
        echo "Error: Database is uninitialized and superuser password is not specified." >&2
        exit 1
    fi
    export PGPASSWORD="${POSTGRES_PASSWORD-}"
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    words=/tmp/deploycheck-pwfile
    (umask 077; printf '%s\n' "$PGPASSWORD" > "$words")
    # shellcheck disable=SC2086
    initdb --username="$POSTGRES_USER" --pwfile="$words" ${POSTGRES_INITDB_ARGS-}
    rm "$words"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
    # The server that makes the database listens at the socket only, and goes again.
    pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
    [ "$POSTGRES_DB" = postgres ] || psql --username "$POSTGRES_USER" --no-password --no-psqlrc --dbname postgres \
        --command "CREATE DATABASE \"$POSTGRES_DB\""
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
            *.sql) psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --dbname "$POSTGRES_DB" --file "$file" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    echo "PostgreSQL init process complete; ready for start up."
fi
exec "$@"
