#!/usr/bin/env bash
# A PostgreSQL server for tests: `postgres.sh start FOLDER` prints how to reach it, `postgres.sh stop FOLDER` ends it,
# and `postgres.sh restart FOLDER` does as a crash does: connections drop, and it comes back from its log.
# All of it is in FOLDER, which is then removed; only a socket there leads to it, so no other server is in its way.
set -euo pipefail
folder=$(cd "$2" && pwd)
cd "$folder"
for bin in /usr/lib/postgresql/*/bin; do PATH=$bin:$PATH; done # where Debian keeps it; the newest comes first

as_owner() { # it refuses to run as root
    if [ "$(id -u)" = 0 ]; then runuser --user postgres -- "$@"; else "$@"; fi
}

case $1 in
start)
    if ! control=$(command -v pg_ctl); then
        echo "there is no PostgreSQL here: apt-get install postgresql" >&2
        exit 127
    fi
    if [ "$(id -u)" = 0 ]; then chown postgres .; fi
    as_owner "$control" initdb --silent --pgdata data \
        --options '--auth=trust --username=postgres --encoding=UTF8 --locale=C' > /dev/null
    as_owner "$control" start --silent --wait --pgdata data --log log \
        --options "-c listen_addresses='' -c unix_socket_directories='$folder'"
    echo "host=$folder user=postgres dbname=postgres"
    ;;
restart)
    as_owner "$(command -v pg_ctl)" restart --silent --wait --pgdata data --mode immediate --log log
    ;;
stop)
    as_owner "$(command -v pg_ctl)" stop --silent --mode fast --pgdata data
    rm -rf "$folder"
    ;;
esac
