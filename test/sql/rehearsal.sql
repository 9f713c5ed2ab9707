-- What a rehearsal shows of each statement, and that it raises what would fail.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.rehearse_limit = '1min';
SET tapmig.lock_timeout = '1min';

CREATE SCHEMA rehearsal;
SET search_path = rehearsal, public;
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT g, g, g FROM generate_series(1, 100) g;
CREATE INDEX t_a ON t (a);
CREATE TABLE u (id int, t_id int);
INSERT INTO u VALUES (1, 1), (2, 2), (3, NULL);
CREATE VIEW v AS SELECT id FROM t;
CREATE SCHEMA "Else where";
CREATE TABLE "Else where"."T" (i int);

-- The columns whose values are the same each time.
CREATE FUNCTION shown(sql text)
	RETURNS TABLE (statement int, line int, command text, elapsed text, wal text, relation text,
		lock_mode text, held text, rewritten boolean, scanned boolean)
	LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT r.statement, r.line, r.command,
		CASE WHEN r.elapsed_ms >= 0 THEN 'ms' END,
		CASE WHEN r.wal_bytes >= 0 THEN 'bytes' END,
		r.relation, r.lock_mode,
		CASE WHEN r.held_ms >= r.elapsed_ms THEN 'to the end' ELSE r.held_ms::text END,
		r.rewritten, r.scanned
	FROM tapmig.rehearse(shown.sql) r;
END $$;

-- One row a statement and relation; indexes and TOAST tables are their table's.
SELECT * FROM shown($script$
ALTER TABLE t ALTER a TYPE bigint;
CREATE INDEX ON u (t_id);
ALTER TABLE u ADD FOREIGN KEY (t_id) REFERENCES t;
UPDATE t SET b = 'x' WHERE id = 1;

SELECT 1;
DROP INDEX t_a;
$script$);

SELECT r.wal_bytes > 1000 AS wal, r.elapsed_ms > 0 AS elapsed, r.held_ms >= r.elapsed_ms AS held
FROM tapmig.rehearse('ALTER TABLE t ALTER a TYPE bigint') r;

-- A lock that grows, behind a statement that took another one which shows nothing new.
CREATE TABLE w (id int PRIMARY KEY);
SELECT statement, relation, lock_mode FROM tapmig.rehearse($script$
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
CREATE TABLE fresh (w int REFERENCES w, t int REFERENCES t);
LOCK TABLE w IN ACCESS EXCLUSIVE MODE;
$script$);
DROP TABLE w;

-- What the script makes is left out, and so are the system catalogs.
SELECT * FROM shown($script$
CREATE TABLE fresh (id serial PRIMARY KEY, b text);
INSERT INTO fresh (b) SELECT b FROM t;
ALTER TABLE fresh ALTER b TYPE varchar(10);
SELECT count(*) FROM pg_class, information_schema.tables;
DROP TABLE fresh;
$script$);

-- Relations are called as before the script, by the caller's search_path.
SELECT * FROM shown($script$
SET search_path = "Else where", pg_temp;
ALTER TABLE rehearsal.t RENAME TO renamed;
ALTER TABLE rehearsal.renamed ADD COLUMN c int;
DROP TABLE "T";
CREATE TABLE "T" (i int);
ALTER TABLE "T" ADD COLUMN j int;
DROP TABLE rehearsal.renamed CASCADE;
$script$);

-- Views, materialized views, temporary tables and sequences that were there.
CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
CREATE TEMP TABLE own (i int);
CREATE SEQUENCE s;
SELECT * FROM shown($script$
SELECT count(*) FROM v;
REFRESH MATERIALIZED VIEW m;
ALTER TABLE own ADD COLUMN j int;
ALTER SEQUENCE s RESTART;
CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 1;
$script$);

-- Inside of DO blocks and functions; several relations in one statement.
CREATE FUNCTION ddl() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE u ALTER t_id TYPE bigint;
	TRUNCATE t;
END $$;
SELECT * FROM shown($script$
DO $do$ BEGIN EXECUTE 'ALTER TABLE t ADD CHECK (a > 0)'; END $do$;
SELECT ddl();
$script$);

-- A lock that the caller's transaction has is not the script's.
BEGIN;
LOCK TABLE t IN SHARE MODE;
SELECT * FROM shown('CREATE INDEX ON t (b); INSERT INTO u VALUES (4, 4); INSERT INTO t VALUES (0)');
SELECT count(*) FROM u;
ROLLBACK;

-- The same relation in weaker and stronger modes.
SELECT * FROM shown($script$
SELECT count(*) FROM t;
LOCK TABLE t IN ROW EXCLUSIVE MODE;
LOCK TABLE t IN ROW SHARE MODE;
LOCK TABLE t IN SHARE MODE;
LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
LOCK TABLE t IN SHARE MODE;
$script$);

-- Inline data, wrapper, settings.
SELECT * FROM shown($script$
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL work_mem = '1MB';
COPY u (id, t_id) FROM stdin;
10	1
11	2
\.
COMMIT;
$script$);
SELECT * FROM shown('');
SELECT * FROM shown('-- only a comment');

-- Steps: what cannot run in a transaction block is not rehearsed, and a lock is
-- held to the end of its step.
SELECT * FROM shown($script$
ALTER TABLE t ADD COLUMN c int;
CREATE INDEX CONCURRENTLY t_b ON t (b);
VACUUM t;
ALTER TABLE u ADD COLUMN c int;
BEGIN;
INSERT INTO u VALUES (5);
COMMIT;
SELECT 1;
$script$);
WITH r AS MATERIALIZED (
	-- for longer than all that was before, however long a busy machine took for it
	SELECT * FROM tapmig.rehearse('LOCK TABLE t; COMMIT; SELECT pg_sleep(0.2 + extract(epoch FROM clock_timestamp() - now())); LOCK TABLE u'))
SELECT r.relation, r.held_ms >= r.elapsed_ms AS held,
	CASE r.relation WHEN 't' THEN r.held_ms < (SELECT elapsed_ms FROM r WHERE command = 'SELECT') END AS until_its_step
FROM r WHERE r.relation IS NOT NULL;
-- as the server shows: a DO that commits, a new enum value in use
CREATE TYPE mood AS ENUM ('sad');
SELECT * FROM shown($script$
ALTER TYPE mood ADD VALUE 'ok';
SELECT 'ok'::mood;
DO $do$ BEGIN COMMIT; END $do$;
ALTER TABLE u ADD COLUMN c int;
$script$);
-- what needs a statement that is left out, and what fails by itself
SELECT * FROM shown($script$
CREATE UNIQUE INDEX CONCURRENTLY u_id ON u (id);
ALTER TABLE u ADD CONSTRAINT u_id UNIQUE USING INDEX u_id;
ALTER TABLE u ADD COLUMN c int;
$script$);
SELECT * FROM tapmig.rehearse($script$
CREATE UNIQUE INDEX CONCURRENTLY u_id ON u (id);
ALTER TABLE missing ADD COLUMN c int;
$script$);
SELECT * FROM tapmig.rehearse($script$
CREATE UNIQUE INDEX CONCURRENTLY u_id ON u (id);
ALTER TABLE u ADD CHECK (id > 1);
$script$);

-- What would fail, with statement and line.
DROP MATERIALIZED VIEW m;
SELECT * FROM tapmig.rehearse(E'SELECT 1;\n\nCREATE UNIQUE INDEX ON t ((1));');
SELECT * FROM tapmig.rehearse(E'\nALTER TABLE u\n  ALTER t_id SET NOT NULL;');
SELECT * FROM tapmig.rehearse(E'UPDATE u SET t_id = 1000 WHERE id = 1;\nALTER TABLE u ADD FOREIGN KEY (t_id) REFERENCES t;');
SELECT * FROM tapmig.rehearse(E'INSERT INTO t VALUES (200, 1, ''no number'');\nALTER TABLE t ALTER b TYPE int USING b::int;');
SELECT * FROM tapmig.rehearse(E'ALTER TABLE t\n  ADD CHECK (a < 50);');
SELECT * FROM tapmig.rehearse(E'SELECT 1;\nALTER TABLE u\n  DROP COLUMN missing;');
SELECT * FROM tapmig.rehearse(E'SELECT 1;\nSELEC 1;');
SELECT * FROM tapmig.rehearse(E'SELECT 1;\nSELECT\n  missing FROM t;');
-- at the end, where a real run would commit
SELECT * FROM tapmig.rehearse(E'ALTER TABLE u ADD FOREIGN KEY (t_id) REFERENCES t DEFERRABLE INITIALLY DEFERRED;\nINSERT INTO u VALUES (9, 999);\nSELECT 1;');
SELECT count(*) FROM u;

-- Where it is refused.
SELECT * FROM tapmig.rehearse(NULL);
SELECT * FROM tapmig.rehearse('SELECT tapmig.rehearse(''SELECT 1'')');
SELECT tapmig.apply('7801', 'SELECT * FROM tapmig.rehearse(''SELECT 1'')', track => 'rehearsal');
SELECT * FROM tapmig.rehearse('SELECT tapmig.apply(''7802'', ''SELECT 1'')');
SELECT * FROM tapmig.rehearse('DROP EXTENSION tapmig');
SELECT * FROM tapmig.rehearse('ROLLBACK');
BEGIN READ ONLY;
SELECT * FROM tapmig.rehearse('SELECT 1');
ROLLBACK;
CREATE ROLE regress_rehearsal;
SET ROLE regress_rehearsal;
SELECT * FROM tapmig.rehearse('SELECT 1');
RESET ROLE;
GRANT EXECUTE ON FUNCTION tapmig.rehearse TO regress_rehearsal;
SET ROLE regress_rehearsal;
SELECT statement, command FROM tapmig.rehearse('SELECT 1');
SELECT * FROM tapmig.rehearse('DROP TABLE rehearsal.t');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION tapmig.rehearse FROM regress_rehearsal;
DROP ROLE regress_rehearsal;

-- Nothing has changed.
SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
WHERE a.attrelid IN ('t'::regclass, 'u'::regclass) AND a.attnum > 0 ORDER BY a.attrelid, a.attnum;
SELECT count(*) FROM t;
SELECT * FROM u ORDER BY id;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA rehearsal, "Else where" CASCADE;
