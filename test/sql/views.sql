--
-- running and health: for monitoring
--
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
SET tapmig.track = 'views';

CREATE FUNCTION health() RETURNS TABLE (track text, applied bigint, last_version text, at_last boolean, failed bigint, interrupted bigint, running boolean, ledger_ok boolean)
LANGUAGE sql AS $$
	SELECT h.track, h.applied, h.last_version,
		h.last_applied_at IS NOT DISTINCT FROM (SELECT max(m.applied_at) FROM tapmig.schema_migrations m WHERE m.track = h.track),
		h.failed, h.interrupted, h.running_since IS NOT NULL, h.ledger_ok
	FROM tapmig.health h WHERE h.track LIKE 'views%' ORDER BY h.track COLLATE "C" $$;

-- a track that has nothing has no row
SELECT * FROM health();
SELECT tapmig.holder(), tapmig.holder('views other');
SELECT count(*) FROM tapmig.running;

-- what is in force; the last version is the highest
SELECT tapmig.apply('9_nine', 'SELECT 9'), tapmig.apply('10_ten', 'SELECT 10'), tapmig.apply('2', 'SELECT 2');
SELECT tapmig.register('1', track => 'views other');
SELECT * FROM health();

-- failed, and mended by a later try, by a registration, by a squash
CALL tapmig.run('11', 'SELECT 1/0');
CALL tapmig.run('12', 'SELECT 1/0');
CALL tapmig.run('13', 'SELECT 1/0');
CALL tapmig.run('14', 'SELECT 1/0');
CALL tapmig.run('14', 'SELECT 14/0');
SELECT * FROM health();
CALL tapmig.run('11', 'SELECT 11');
SELECT tapmig.register('12');
SELECT * FROM health();
SELECT tapmig.apply('20', E'-- tapmig: replaces=13..13\nSELECT 20');
SELECT * FROM health();

-- a first version that fails makes a track's row
CALL tapmig.run('1', 'SELECT 1/0', track => 'views new');
SELECT * FROM health();

-- recorded as running by a process that doesn't hold the lock: interrupted
INSERT INTO tapmig.attempts (track, version, started_at, outcome, steps, steps_done, pid, step_running)
	VALUES ('views', '21', now(), 'running', 3, 1, pg_backend_pid(), 2), ('views', '22', now(), 'running', 3, 1, NULL, 2),
		('views', '23', now(), 'interrupted', 3, 1, 1, NULL), ('views', '24', now(), 'abandoned', 3, 1, 1, NULL);
SELECT * FROM health();
SELECT count(*) FROM tapmig.running;
SELECT version, state, action, regexp_replace(detail, '\d{4}-[-0-9:+ ]*\d', 'THEN') AS detail FROM tapmig.plan('{21,22,23,24}') WHERE version BETWEEN '21' AND '24';

-- a human's word on its step leaves it to be resumed, giving it up does not
INSERT INTO tapmig.attempts (track, version, started_at, outcome, steps, steps_done, pid, step_running, step_fingerprints)
	VALUES ('views told', '1', now(), 'running', 3, 0, 1, 1, '{a,b,c}');
SELECT tapmig.step_done('1', 1, 'seen', track => 'views told');
SELECT version, state, action FROM tapmig.plan('{1}', track => 'views told');
SELECT * FROM health() WHERE track = 'views told';
SELECT tapmig.abandon('1', 'no', track => 'views told');
SELECT version, state, action FROM tapmig.plan('{1}', track => 'views told');
SELECT * FROM health() WHERE track = 'views told';

-- by the process that holds it: running
BEGIN;
SELECT tapmig.apply('30', 'SELECT 30');
SELECT tapmig.holder() = pg_backend_pid() AS mine, tapmig.holder('views other'), tapmig.holder('main');
SELECT track, version, started_at <= now() AS started, pid = pg_backend_pid() AS mine, step, steps, step_running, state, command, waits_for_pid FROM tapmig.running;
SELECT * FROM health();
SELECT version, state, action, regexp_replace(detail, '\d{4}-[-0-9:+ ]*\d', 'THEN') AS detail FROM tapmig.plan('{21,22}') WHERE version IN ('21', '22');
ROLLBACK;
SELECT tapmig.holder(), count(*) FROM tapmig.running;

-- a script sees itself, by its track, version and statement
CREATE TABLE views_seen (n int, track text, version text, pid int, step int, steps int, step_running int, state text, query text);
SELECT tapmig.apply('1_own/name', 'SELECT 1; INSERT INTO views_seen SELECT 1, track, version, pid, step, steps, step_running, state, query FROM tapmig.running', track => 'views/ 1: x');
SELECT tapmig.apply('1.5', 'INSERT INTO views_seen SELECT 2, track, version, pid, step, steps, step_running, state, query FROM tapmig.running', track => 'views new');
SELECT n, track, version, pid = pg_backend_pid() AS mine, step, steps, step_running, state, query FROM views_seen ORDER BY n;

-- an INVALID index, of nobody's build; an ON ONLY index is no such thing
SELECT invalid_indexes AS before FROM tapmig.health WHERE track = 'views' \gset
CREATE TABLE views_t (i int);
INSERT INTO views_t VALUES (1), (1);
CREATE UNIQUE INDEX CONCURRENTLY views_i ON views_t (i);
CREATE TABLE views_p (i int) PARTITION BY RANGE (i);
CREATE TABLE views_p1 PARTITION OF views_p FOR VALUES FROM (1) TO (2);
CREATE INDEX views_pi ON ONLY views_p (i);
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid IN ('views_t'::regclass, 'views_p'::regclass) ORDER BY 1;
SELECT invalid_indexes - :before AS more FROM tapmig.health WHERE track = 'views';
DROP TABLE views_t, views_p;
SELECT invalid_indexes - :before AS more FROM tapmig.health WHERE track = 'views';

-- rights: a monitoring role reads both, nobody else does
CREATE ROLE regress_tapmig_monitor;
CREATE ROLE regress_tapmig_nobody;
GRANT pg_monitor TO regress_tapmig_monitor;
SET ROLE regress_tapmig_monitor;
SELECT count(*) FROM tapmig.running;
SELECT track, applied, failed, interrupted, ledger_ok FROM tapmig.health WHERE track LIKE 'views%' ORDER BY track COLLATE "C";
SELECT tapmig.holder();
SET ROLE regress_tapmig_nobody;
SELECT count(*) FROM tapmig.running;
SELECT count(*) FROM tapmig.health;
SELECT tapmig.holder();
RESET ROLE;
DROP ROLE regress_tapmig_monitor, regress_tapmig_nobody;

-- a changed ledger is wrong in its own track
ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER refuse_row, DISABLE TRIGGER refuse_statement;
UPDATE tapmig.schema_migrations SET source = 'another' WHERE track = 'views other';
SELECT DISTINCT ledger_ok FROM tapmig.health; -- without its guards it is wrong in all
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_statement;
SELECT track, ledger_ok FROM tapmig.health WHERE track LIKE 'views%' ORDER BY track COLLATE "C";

-- a changed script that belongs to no version is wrong in all of them
ALTER TABLE tapmig.scripts DISABLE TRIGGER insert_row;
INSERT INTO tapmig.scripts VALUES (sha256('x'), 'y');
ALTER TABLE tapmig.scripts ENABLE ALWAYS TRIGGER insert_row;
SELECT track, ledger_ok FROM tapmig.health WHERE track LIKE 'views%' ORDER BY track COLLATE "C";

-- without a row in the ledger the history still knows the track
ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER refuse_row, DISABLE TRIGGER refuse_statement;
DELETE FROM tapmig.schema_migrations WHERE track = 'views other';
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_statement;
SELECT track, applied, last_version, ledger_ok FROM tapmig.health WHERE track = 'views other';

DROP FUNCTION health();
DROP TABLE views_seen;
DROP EXTENSION tapmig;
CREATE EXTENSION tapmig;

-- A stored report is unpacked once or twice, not for each file.
CREATE TABLE views_report AS
SELECT jsonb_build_object('now', now(), 'versions', jsonb_agg(jsonb_build_object('version', lpad(g::text, 6, '0'), 'kind', 'applied',
	'applied_at', now() - interval '2 days', 'checksum', md5(g::text) || md5((-g)::text)))) AS report
FROM generate_series(1, 30000) g;
SET statement_timeout = '20s';
SELECT count(*) FILTER (WHERE green) FROM views_report, tapmig.green((SELECT array_agg(lpad(g::text, 6, '0')) FROM generate_series(1, 30000) g),
	(SELECT array_agg(md5(g::text) || md5((-g)::text)) FROM generate_series(1, 30000) g), report);
RESET statement_timeout;
DROP TABLE views_report;

-- Nor are all that is taken back looked through for each version.
BEGIN;
INSERT INTO tapmig.schema_migrations (track, version, kind, applied_at, source, applied_by, applied_as, out_of_order, directives)
SELECT 'views pairs', g::text, 'applied', now(), 'test', current_user, current_user, false,
	CASE WHEN g > 10000 THEN jsonb_build_object('compensates', ARRAY[(g - 10000)::text]) END
FROM generate_series(1, 20000) g;
SET LOCAL statement_timeout = '20s';
CREATE TEMP TABLE views_version ON COMMIT DROP AS
SELECT v FROM jsonb_array_elements(tapmig.report('views pairs') -> 'versions') v;
RESET statement_timeout;
SELECT v ->> 'version' AS version, v ->> 'compensates' AS compensates, v ->> 'compensated_by' AS compensated_by
FROM views_version WHERE v ->> 'version' IN ('7', '10007') ORDER BY 1;
ROLLBACK;
