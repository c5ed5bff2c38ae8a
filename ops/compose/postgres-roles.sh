#!/usr/bin/env bash
# Runs once, when PostgreSQL's data folder is made: the roles and who may connect.
#   ledgerbeat_owner    owns the database and its tables; `ledgerbeat migrate` logs in as it, nothing else does
#   ledgerbeat_app      what shim and workers log in as; it has the rights of ledgerbeat_worker and no more
#   ledgerbeat_worker   may not rewrite the ledger (the rights are granted by the migrations)
#   ledgerbeat_enqueue  may call enqueue_job() and nothing else; for the logins of upstream apps
# Passwords go in by the environment of psql, so that neither `ps` nor a file shows them.
set -euo pipefail

secrets=${LEDGERBEAT_SECRETS_DIR:-/run/secrets}
OWNER_PASSWORD=$(cat "$secrets/owner_password")
APP_PASSWORD=$(cat "$secrets/app_password")
export OWNER_PASSWORD APP_PASSWORD

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
BEGIN;
CREATE ROLE ledgerbeat_worker NOLOGIN;
CREATE ROLE ledgerbeat_enqueue NOLOGIN;
CREATE ROLE ledgerbeat_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE ledgerbeat_app LOGIN PASSWORD :'app_password' IN ROLE ledgerbeat_worker;
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO ledgerbeat_worker, ledgerbeat_enqueue;
ALTER DATABASE :"DBNAME" OWNER TO ledgerbeat_owner;
COMMIT;
SQL
