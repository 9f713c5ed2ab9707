-- The SQL objects of tapmig; make copies this file to tapmig--VERSION.sql.
--
-- Every object is named with its schema: the script runs with the search_path
-- "pg_catalog, pg_temp".  Nothing here may depend on the order in which
-- pg_restore brings rows back: it fires the triggers below.

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION tapmig" to load this file. \quit

-- Not named in the control file, so that it is a member of the extension, and
-- so that a schema which somebody else made before makes this fail.
CREATE SCHEMA tapmig;
COMMENT ON SCHEMA tapmig IS 'PostgreSQL as its own migration engine';

--
-- Order of versions
--

CREATE FUNCTION tapmig.version_key(version text) RETURNS text
	AS 'MODULE_PATHNAME', 'tapmig_version_key'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION tapmig.version_key(text) IS
	'sort key of a version under collation "C": 1.2 < 1.10 < 9 < 10, and 36 = 036';

--
-- The ledger.  Versions and tracks have collation "C", so that no index
-- depends on the operating system's collations.
--

CREATE TABLE tapmig.schema_migrations (
	track			text COLLATE "C" NOT NULL,
	version			text COLLATE "C" NOT NULL,
	name			text,
	applied_at		timestamptz NOT NULL,
	source			text NOT NULL,
	kind			text NOT NULL CHECK (kind IN ('applied', 'registered')),
	why				text,
	checksum		bytea CHECK (octet_length(checksum) = 32),
	also			bytea[],
	fingerprint		bytea CHECK (octet_length(fingerprint) = 32),
	statements		int,
	elapsed			interval,
	applied_by		name NOT NULL,
	applied_as		name NOT NULL,
	application		text,
	out_of_order	boolean NOT NULL,
	directives		jsonb,
	PRIMARY KEY (track, version)
);
CREATE UNIQUE INDEX schema_migrations_key
	ON tapmig.schema_migrations (track, tapmig.version_key(version) COLLATE "C");
-- Every apply asks for squashes, and reads them by this index: it holds no other
-- versions.
CREATE INDEX schema_migrations_replaces
	ON tapmig.schema_migrations (track, tapmig.version_key(version) COLLATE "C")
	WHERE directives ? 'replaces';

COMMENT ON TABLE tapmig.schema_migrations IS 'the versions in force, one row each';
COMMENT ON COLUMN tapmig.schema_migrations.track IS 'sequence of versions that the row belongs to';
COMMENT ON COLUMN tapmig.schema_migrations.version IS 'version; ORDER BY tapmig.version_key(version) orders versions of any form';
COMMENT ON COLUMN tapmig.schema_migrations.name IS 'what follows the version in the migration''s name';
COMMENT ON COLUMN tapmig.schema_migrations.applied_at IS 'when it was applied, or as given when it was registered';
COMMENT ON COLUMN tapmig.schema_migrations.source IS 'the caller''s label, such as a file path with its revision';
COMMENT ON COLUMN tapmig.schema_migrations.kind IS 'applied: tapmig ran it; registered: it was applied by other means';
COMMENT ON COLUMN tapmig.schema_migrations.why IS 'the script''s "-- Why:" comment';
COMMENT ON COLUMN tapmig.schema_migrations.checksum IS 'SHA-256 of the script in UTF-8, byte for byte as sent; null where no script was given';
COMMENT ON COLUMN tapmig.schema_migrations.also IS 'checksums of scripts that differ from it in layout only';
COMMENT ON COLUMN tapmig.schema_migrations.fingerprint IS 'SHA-256 over the script''s tokens; layout and comments do not count';
COMMENT ON COLUMN tapmig.schema_migrations.statements IS 'number of statements in the script';
COMMENT ON COLUMN tapmig.schema_migrations.elapsed IS 'time that the script took';
COMMENT ON COLUMN tapmig.schema_migrations.applied_by IS 'session_user';
COMMENT ON COLUMN tapmig.schema_migrations.applied_as IS 'current_user';
COMMENT ON COLUMN tapmig.schema_migrations.application IS 'application_name';
COMMENT ON COLUMN tapmig.schema_migrations.out_of_order IS 'a higher version was in force already';
COMMENT ON COLUMN tapmig.schema_migrations.directives IS 'the script''s "-- tapmig:" directives';

-- Where it is set to its end by hand it begins anew, and the next event's number comes
-- from the event before it, as when it was set back.
CREATE SEQUENCE tapmig.history_seq AS bigint MAXVALUE 4611686018427387904 CYCLE;
COMMENT ON SEQUENCE tapmig.history_seq IS 'numbers the events of tapmig.history; gaps are normal';

CREATE TABLE tapmig.history (
	seq				bigint NOT NULL,
	track			text COLLATE "C" NOT NULL,
	version			text COLLATE "C" NOT NULL,
	event			text NOT NULL CHECK (event IN ('applied', 'registered', 'accepted',
												   'withdrawn', 'abandoned', 'step_done',
												   'repeated')),
	at				timestamptz NOT NULL,
	by_user			name NOT NULL,
	source			text,
	reason			text,
	checksum		bytea,
	fingerprint		bytea,
	chain			bytea,
	state			bytea,
	PRIMARY KEY (track, seq)
);
-- What overtakes an attempt. That its version was applied is in schema_migrations,
-- whose rows of that kind stay, so nearly all events need no entry.
CREATE INDEX history_track_version
	ON tapmig.history (track, tapmig.version_key(version) COLLATE "C", seq)
	WHERE event <> 'applied';

COMMENT ON TABLE tapmig.history IS 'every event of the ledger; append-only, each event chained to the one before it in its track';
COMMENT ON COLUMN tapmig.history.seq IS 'order of events; gaps are normal';
COMMENT ON COLUMN tapmig.history.track IS 'track of the event';
COMMENT ON COLUMN tapmig.history.version IS 'version that it is about';
COMMENT ON COLUMN tapmig.history.event IS 'applied, registered, accepted, withdrawn, abandoned, step_done, or repeated (sent again in another layout)';
COMMENT ON COLUMN tapmig.history.at IS 'when';
COMMENT ON COLUMN tapmig.history.source IS 'the caller''s label';
COMMENT ON COLUMN tapmig.history.checksum IS 'SHA-256 of the script in UTF-8';
COMMENT ON COLUMN tapmig.history.fingerprint IS 'SHA-256 over the script''s tokens';
COMMENT ON COLUMN tapmig.history.by_user IS 'session_user';
COMMENT ON COLUMN tapmig.history.reason IS 'why a correction was made, as given';
COMMENT ON COLUMN tapmig.history.chain IS 'SHA-256 over this event and the chain of the track''s event before it; keep one elsewhere for tapmig.verify';
COMMENT ON COLUMN tapmig.history.state IS 'SHA-256 over the version''s row in tapmig.schema_migrations after the event; null where it has none';

CREATE TABLE tapmig.scripts (
	checksum		bytea NOT NULL PRIMARY KEY CHECK (octet_length(checksum) = 32),
	sql				text NOT NULL
);
COMMENT ON TABLE tapmig.scripts IS 'the text of the scripts that ran; it may hold secrets';
COMMENT ON COLUMN tapmig.scripts.sql IS 'the text, byte for byte as sent';
COMMENT ON COLUMN tapmig.scripts.checksum IS 'SHA-256 of the text in UTF-8';

-- As above, where attempts have a greater number.
CREATE SEQUENCE tapmig.attempts_id_seq AS bigint MAXVALUE 4611686018427387904 CYCLE;
COMMENT ON SEQUENCE tapmig.attempts_id_seq IS 'numbers the rows of tapmig.attempts';

CREATE TABLE tapmig.attempts (
	id				bigint NOT NULL DEFAULT nextval('tapmig.attempts_id_seq') PRIMARY KEY,
	track			text COLLATE "C" NOT NULL,
	version			text COLLATE "C" NOT NULL,
	checksum		bytea,
	started_at		timestamptz NOT NULL,
	finished_at		timestamptz,
	outcome			text NOT NULL CHECK (outcome IN ('running', 'applied', 'failed',
													 'interrupted', 'abandoned')),
	steps			int NOT NULL,
	steps_done		int NOT NULL,
	step_fingerprints bytea[],
	settings		jsonb,
	by_user			name NOT NULL DEFAULT session_user,
	pid				int,
	sqlstate		text,
	message			text,
	detail			text,
	line			int,
	step_running	int,
	late_fingerprints bytea[],
	late_cuts		int[],
	cuts			int[]
);
CREATE INDEX attempts_track_version
	ON tapmig.attempts (track, tapmig.version_key(version) COLLATE "C", id DESC);

COMMENT ON TABLE tapmig.attempts IS 'tries of stepwise scripts, and failed tries of any';
COMMENT ON COLUMN tapmig.attempts.id IS 'number of the attempt';
COMMENT ON COLUMN tapmig.attempts.track IS 'track of the version';
COMMENT ON COLUMN tapmig.attempts.version IS 'version that was tried';
COMMENT ON COLUMN tapmig.attempts.checksum IS 'SHA-256 of the script in UTF-8';
COMMENT ON COLUMN tapmig.attempts.started_at IS 'when it began';
COMMENT ON COLUMN tapmig.attempts.finished_at IS 'when it ended; null while it is running';
COMMENT ON COLUMN tapmig.attempts.message IS 'message of the error';
COMMENT ON COLUMN tapmig.attempts.detail IS 'detail of the error';
COMMENT ON COLUMN tapmig.attempts.outcome IS 'running, applied, failed, interrupted or abandoned';
COMMENT ON COLUMN tapmig.attempts.steps IS 'number of steps in the script';
COMMENT ON COLUMN tapmig.attempts.steps_done IS 'number of finished steps';
COMMENT ON COLUMN tapmig.attempts.step_fingerprints IS 'fingerprints of the steps';
COMMENT ON COLUMN tapmig.attempts.step_running IS 'step outside of a transaction that has begun and is not known to have ended';
COMMENT ON COLUMN tapmig.attempts.cuts IS 'statements before which the server''s refusal cut the script; negative: which run alone';
COMMENT ON COLUMN tapmig.attempts.late_fingerprints IS 'fingerprints of the last steps, in place of those in step_fingerprints; empty of a step that has not begun';
COMMENT ON COLUMN tapmig.attempts.late_cuts IS 'cuts behind those in cuts';
COMMENT ON COLUMN tapmig.attempts.settings IS 'settings that the finished steps made';
COMMENT ON COLUMN tapmig.attempts.by_user IS 'session_user; whose functions may have made the settings';
COMMENT ON COLUMN tapmig.attempts.pid IS 'process that ran it';
COMMENT ON COLUMN tapmig.attempts.sqlstate IS 'error code of the statement that failed';
COMMENT ON COLUMN tapmig.attempts.line IS 'line of the script that the error is in';

-- pg_dump carries the rows.
SELECT pg_extension_config_dump('tapmig.schema_migrations', '');
SELECT pg_extension_config_dump('tapmig.history', '');
SELECT pg_extension_config_dump('tapmig.scripts', '');
SELECT pg_extension_config_dump('tapmig.attempts', '');
SELECT pg_extension_config_dump('tapmig.history_seq', '');
SELECT pg_extension_config_dump('tapmig.attempts_id_seq', '');

--
-- What guards the tables.  Row triggers skip what a logical replication worker
-- brings; statement triggers refuse where no row is met.
--

CREATE FUNCTION tapmig.trigger_insert() RETURNS trigger
	AS 'MODULE_PATHNAME', 'tapmig_trigger_insert'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.trigger_insert() IS
	'completes and records a by-hand INSERT into the ledger';

CREATE FUNCTION tapmig.trigger_refuse() RETURNS trigger
	AS 'MODULE_PATHNAME', 'tapmig_trigger_refuse'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.trigger_refuse() IS
	'refuses changes of the ledger that tapmig does not make itself';

CREATE TRIGGER insert_row BEFORE INSERT ON tapmig.schema_migrations
	FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_insert();
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON tapmig.schema_migrations
	FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_refuse();
CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON tapmig.schema_migrations
	FOR EACH STATEMENT EXECUTE FUNCTION tapmig.trigger_refuse();
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER insert_row;
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER refuse_statement;

CREATE TRIGGER insert_row BEFORE INSERT ON tapmig.history
	FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_insert();
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON tapmig.history
	FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_refuse();
CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON tapmig.history
	FOR EACH STATEMENT EXECUTE FUNCTION tapmig.trigger_refuse();
ALTER TABLE tapmig.history ENABLE ALWAYS TRIGGER insert_row;
ALTER TABLE tapmig.history ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE tapmig.history ENABLE ALWAYS TRIGGER refuse_statement;

CREATE TRIGGER insert_row BEFORE INSERT ON tapmig.scripts
	FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_insert();
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON tapmig.scripts
	FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_refuse();
CREATE TRIGGER refuse_statement BEFORE TRUNCATE ON tapmig.scripts
	FOR EACH STATEMENT EXECUTE FUNCTION tapmig.trigger_refuse();
ALTER TABLE tapmig.scripts ENABLE ALWAYS TRIGGER insert_row;
ALTER TABLE tapmig.scripts ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE tapmig.scripts ENABLE ALWAYS TRIGGER refuse_statement;

CREATE TRIGGER insert_row BEFORE INSERT ON tapmig.attempts
	FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_insert();
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON tapmig.attempts
	FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_refuse();
CREATE TRIGGER refuse_statement BEFORE TRUNCATE ON tapmig.attempts
	FOR EACH STATEMENT EXECUTE FUNCTION tapmig.trigger_refuse();
ALTER TABLE tapmig.attempts ENABLE ALWAYS TRIGGER insert_row;
ALTER TABLE tapmig.attempts ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE tapmig.attempts ENABLE ALWAYS TRIGGER refuse_statement;

--
-- Applying.  No procedure may have a SET clause or SECURITY DEFINER: either
-- would make its CALL atomic.
--

CREATE PROCEDURE tapmig.run(version text, sql text, source text DEFAULT NULL,
							INOUT outcome text DEFAULT NULL, track text DEFAULT NULL)
	AS 'MODULE_PATHNAME', 'tapmig_run'
	LANGUAGE C;
COMMENT ON PROCEDURE tapmig.run(text, text, text, text, text) IS
	'applies a migration once and records it; waits for its end';

CREATE FUNCTION tapmig.apply(version text, sql text, source text DEFAULT NULL,
							 track text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'tapmig_apply'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.apply(text, text, text, text) IS
	'applies a transactional migration once and records it, in the caller''s transaction';

CREATE FUNCTION tapmig.register(version text, sql text DEFAULT NULL, source text DEFAULT NULL,
								applied_at timestamptz DEFAULT NULL, track text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'tapmig_register'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.register(text, text, text, timestamptz, text) IS
	'records a migration that was applied by other means; runs nothing';

CREATE FUNCTION tapmig.accept(version text, sql text, why text, track text DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'tapmig_accept'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.accept(text, text, text, text) IS
	'this edited text of an applied migration is the right one from now on';

CREATE FUNCTION tapmig.withdraw(version text, why text, track text DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'tapmig_withdraw'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.withdraw(text, text, text) IS
	'a registered version counts as not applied again';

CREATE FUNCTION tapmig.abandon(version text, why text, track text DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'tapmig_abandon'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.abandon(text, text, text) IS
	'gives up an interrupted or failed stepwise run; the next starts at step 1';

CREATE FUNCTION tapmig.step_done(version text, step int, why text, track text DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'tapmig_step_done'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.step_done(text, int, text, text) IS
	'a human has seen that this interrupted step took effect';

--
-- Looking
--

CREATE FUNCTION tapmig.plan(versions text[], checksums text[] DEFAULT NULL, track text DEFAULT NULL)
	RETURNS TABLE (version text, name text, state text, action text, detail text)
	AS 'MODULE_PATHNAME', 'tapmig_plan'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.plan(text[], text[], text) IS
	'what a runner must do: the files'' versions and SHA-256 checksums (hex) against the ledger';

CREATE FUNCTION tapmig.statements(sql text)
	RETURNS TABLE (statement int, line int, command text, shape text, step int, sql text)
	AS 'MODULE_PATHNAME', 'tapmig_statements'
	LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.statements(text) IS
	'how the server reads a script, one row a statement; runs nothing';

CREATE FUNCTION tapmig.rehearse(sql text)
	RETURNS TABLE (statement int, line int, command text, elapsed_ms double precision,
		wal_bytes bigint, relation text, lock_mode text, held_ms double precision,
		rewritten boolean, scanned boolean)
	AS 'MODULE_PATHNAME', 'tapmig_rehearse'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.rehearse(text) IS
	'runs a script for real, measures what it locks, scans and rewrites, and rolls it back; elapsed_ms null: cannot be rehearsed';

CREATE FUNCTION tapmig.lint(sql text)
	RETURNS TABLE (statement int, line int, rule text, level text, relation text,
		lock_mode text, message text, advice text)
	AS 'MODULE_PATHNAME', 'tapmig_lint'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.lint(text) IS
	'reads a script for hazards against this database''s catalogs; runs nothing';

CREATE FUNCTION tapmig.verify(head bytea DEFAULT NULL)
	RETURNS TABLE (track text, seq bigint, version text, problem text)
	AS 'MODULE_PATHNAME', 'tapmig_verify'
	LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION tapmig.verify(bytea) IS
	'what is wrong with the ledger and its history, in all tracks; no row: nothing. head: a history.chain kept elsewhere';

CREATE FUNCTION tapmig.directives(sql text) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'tapmig_directives'
	LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.directives(text) IS
	'the directives at the head of a script, a list for each key; null: none; runs nothing';

--
-- Gates
--

CREATE FUNCTION tapmig.is_applied(version text, track text DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tapmig_is_applied'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.is_applied(text, text) IS 'whether a version is in force now';

CREATE FUNCTION tapmig.require(version text, track text DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'tapmig_require'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tapmig.require(text, text) IS 'raises TM006 when a version is not in force';

CREATE PROCEDURE tapmig.wait_for(version text, timeout interval DEFAULT '5 min', track text DEFAULT NULL)
	AS 'MODULE_PATHNAME', 'tapmig_wait_for'
	LANGUAGE C;
COMMENT ON PROCEDURE tapmig.wait_for(text, interval, text) IS
	'waits until a version is in force; TM006 at its timeout';

--
-- Monitoring
--

CREATE FUNCTION tapmig.holder(track text DEFAULT NULL) RETURNS int
	AS 'MODULE_PATHNAME', 'tapmig_holder'
	LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;
COMMENT ON FUNCTION tapmig.holder(text) IS
	'the process that holds a track''s migration lock; 0: a prepared transaction; null: nobody, as always on a standby';

-- Functions in a view run with the caller's rights; tables are read with the
-- owner's.

-- What is under way, from two sources: attempts, where the process that they
-- name holds the lock, and every other holder. Only tapmig can take a lock whose
-- objsubid is 3. A holder's track is in its activity's text while a statement of
-- its script runs; else (an apply that has ended, in a transaction that hasn't)
-- it is one of the known ones.
CREATE VIEW tapmig.running AS
WITH holder AS MATERIALIZED (
	SELECT coalesce(l.pid, 0) AS pid, min(p.prepared) AS prepared
	FROM pg_locks l
	LEFT JOIN pg_locks t ON l.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid'
		AND t.virtualtransaction = l.virtualtransaction
	LEFT JOIN pg_prepared_xacts p ON p.transaction = t.transactionid
	WHERE l.locktype = 'advisory' AND l.objsubid = 3 AND l.granted
	AND l.classid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'tapmig')
	AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
	GROUP BY coalesce(l.pid, 0)
), attempt AS MATERIALIZED (
	SELECT a.track, a.version, a.started_at, a.pid, a.step_running, a.steps,
		least(a.steps_done + 1, a.steps) AS step
	FROM tapmig.attempts a
	WHERE a.outcome = 'running'
	AND (pg_is_in_recovery() OR a.pid = tapmig.holder(a.track))
), script AS MATERIALIZED (
	SELECT h.pid, coalesce(s.xact_start, h.prepared) AS started_at, m[1] COLLATE "C" AS track, m[2] COLLATE "C" AS version
	FROM holder h
	LEFT JOIN pg_stat_activity s ON s.pid = h.pid
	LEFT JOIN regexp_match(s.query,
		'^tapmig (.+)/([0-9]+(?:[.-][0-9]+)*)(?:_.*)?: statement [0-9]+ of [0-9]+$') m
		ON tapmig.holder(m[1]) = h.pid
	WHERE h.pid NOT IN (SELECT a.pid FROM attempt a)
), known AS (
	SELECT m.track FROM tapmig.schema_migrations m
	UNION SELECT a.track FROM tapmig.attempts a
	UNION SELECT coalesce(nullif(current_setting('tapmig.track', true), ''), 'main')
), work AS (
	SELECT a.track, a.version, a.started_at, a.pid, a.step, a.steps, a.step_running
	FROM attempt a
	UNION ALL
	SELECT s.track, s.version, s.started_at, s.pid, 1, 1, NULL
	FROM script s WHERE s.track IS NOT NULL
	UNION ALL
	SELECT k.track, NULL, s.started_at, s.pid, NULL, NULL, NULL
	FROM script s LEFT JOIN known k ON tapmig.holder(k.track) = s.pid
	WHERE s.track IS NULL
), progress AS (
	SELECT p.pid, p.command, p.phase, p.blocks_done, p.blocks_total, p.tuples_done,
		p.tuples_total
	FROM pg_stat_progress_create_index p
	UNION ALL
	SELECT p.pid, 'VACUUM', p.phase, p.heap_blks_scanned, p.heap_blks_total, NULL, NULL
	FROM pg_stat_progress_vacuum p
	UNION ALL
	SELECT p.pid, p.command, p.phase, p.heap_blks_scanned, p.heap_blks_total,
		p.heap_tuples_scanned, NULL
	FROM pg_stat_progress_cluster p
	UNION ALL
	SELECT p.pid, p.command, NULL, NULL, NULL, p.tuples_processed, NULL
	FROM pg_stat_progress_copy p
	UNION ALL
	SELECT p.pid, 'ANALYZE', p.phase, p.sample_blks_scanned, p.sample_blks_total, NULL, NULL
	FROM pg_stat_progress_analyze p
)
SELECT w.track, w.version, w.started_at, nullif(w.pid, 0) AS pid,
	w.step, w.steps, w.step_running,
	CASE w.pid WHEN 0 THEN 'prepared transaction' ELSE s.state END AS state,
	s.wait_event_type, s.wait_event, s.query,
	p.command, p.phase, p.blocks_done, p.blocks_total, p.tuples_done, p.tuples_total,
	f.pid AS waits_for_pid, f.application_name AS waits_for_application,
	f.usename AS waits_for_user, f.state AS waits_for_state, f.age AS waits_for_age
FROM work w
-- On a standby the process is the primary's.
LEFT JOIN pg_stat_activity s ON s.pid = w.pid AND NOT pg_is_in_recovery()
LEFT JOIN progress p ON p.pid = s.pid
-- The other end of its own connection to this server, which waits for a lock: of
-- dblink and postgres_fdw, or the walsender that makes a subscription's slot.
LEFT JOIN LATERAL (
	SELECT x.pid
	FROM pg_stat_activity x
	WHERE s.wait_event_type IN ('Client', 'Extension') AND x.wait_event_type = 'Lock'
	AND x.backend_start >= s.backend_start
	AND (x.application_name LIKE 'tapmig worker ' || s.pid || ' %'
		 OR (x.backend_type = 'walsender' AND x.backend_start >= s.xact_start
			 AND s.wait_event_type = 'Client' AND x.query LIKE 'CREATE\_REPLICATION\_SLOT%'))
	ORDER BY x.backend_start
	LIMIT 1) peer ON true
-- Not current_locker_pid: of a prepared transaction that is whoever uses its backend's slot now.
LEFT JOIN LATERAL (
	SELECT nullif(b.pid, 0) AS pid, coalesce(x.application_name, g.gid) AS application_name,
		coalesce(x.usename, g.owner) AS usename,
		CASE b.pid WHEN 0 THEN 'prepared transaction' ELSE x.state END AS state,
		clock_timestamp() - coalesce(x.xact_start, g.prepared) AS age
	FROM unnest(CASE WHEN s.wait_event_type = 'Lock' THEN pg_blocking_pids(s.pid)
		WHEN peer.pid IS NOT NULL THEN
			coalesce(nullif(array_remove(pg_blocking_pids(peer.pid), s.pid), '{}'), ARRAY[peer.pid]) END) b (pid)
	LEFT JOIN pg_stat_activity x ON x.pid = b.pid
	LEFT JOIN pg_locks l ON b.pid = 0 AND l.pid = coalesce(peer.pid, s.pid) AND NOT l.granted AND l.locktype = 'transactionid'
	LEFT JOIN pg_prepared_xacts g ON g.transaction = l.transactionid
	ORDER BY x.xact_start
	LIMIT 1) f ON true;

COMMENT ON VIEW tapmig.running IS
	'what is under way: a row for each attempt whose process is alive, and for each other holder of a migration lock; on a standby the attempts as recorded';
COMMENT ON COLUMN tapmig.running.track IS 'null where the holder is in no statement of a script, and the track has no row yet';
COMMENT ON COLUMN tapmig.running.version IS 'null where the holder is in no statement of a script';
COMMENT ON COLUMN tapmig.running.started_at IS 'begin of the attempt, of the transaction where the script is one; when it was prepared, of a prepared transaction';
COMMENT ON COLUMN tapmig.running.pid IS 'the process that runs it; null for a prepared transaction';
COMMENT ON COLUMN tapmig.running.step IS 'the step under way';
COMMENT ON COLUMN tapmig.running.steps IS 'number of steps in the script';
COMMENT ON COLUMN tapmig.running.step_running IS 'the step under way, where it runs outside of a transaction';
COMMENT ON COLUMN tapmig.running.query IS 'in a script: track, migration and number of the statement';
COMMENT ON COLUMN tapmig.running.command IS 'what pg_stat_progress_* says is done, with its phase, blocks and tuples';
COMMENT ON COLUMN tapmig.running.waits_for_pid IS 'the session that it waits for, also at the end of a connection of its own; of several the one with the oldest transaction';
COMMENT ON COLUMN tapmig.running.waits_for_application IS 'of a prepared transaction its gid, where a transaction is waited for';
COMMENT ON COLUMN tapmig.running.waits_for_age IS 'age of that session''s transaction';

-- A failed try counts as in tapmig.plan. is_applied() looks with a snapshot of its
-- own, so that what ended well in this very moment is not called interrupted.
CREATE VIEW tapmig.health AS
WITH running AS MATERIALIZED (
	SELECT r.track, min(r.started_at) AS since FROM tapmig.running r GROUP BY r.track
), track AS (
	SELECT m.track FROM tapmig.schema_migrations m
	UNION SELECT h.track FROM tapmig.history h
	UNION SELECT a.track FROM tapmig.attempts a
	UNION SELECT r.track FROM running r WHERE r.track IS NOT NULL
), applied AS (
	SELECT m.track, count(*) AS versions, max(m.applied_at) AS last_at
	FROM tapmig.schema_migrations m
	GROUP BY m.track
), last_try AS (
	SELECT DISTINCT ON (a.track, tapmig.version_key(a.version))
		a.track, a.version, a.outcome, a.pid, coalesce(a.finished_at, a.started_at) AS at
	FROM tapmig.attempts a
	ORDER BY a.track, tapmig.version_key(a.version), a.id DESC
), unfinished AS MATERIALIZED (
	SELECT t.track, t.outcome
	FROM last_try t
	WHERE CASE
		WHEN t.outcome NOT IN ('failed', 'interrupted', 'running') THEN false
		WHEN (SELECT h.at > t.at FROM tapmig.history h
			  WHERE h.track = t.track AND h.event <> 'applied' AND h.event <> 'step_done'
			  AND tapmig.version_key(h.version) = tapmig.version_key(t.version)
			  ORDER BY h.seq DESC LIMIT 1) THEN false
		WHEN t.outcome = 'running' AND (pg_is_in_recovery() OR tapmig.holder(t.track) = t.pid) THEN false
		ELSE NOT tapmig.is_applied(t.version, t.track) END
), tries AS (
	SELECT u.track, count(*) FILTER (WHERE u.outcome = 'failed') AS failed,
		count(*) FILTER (WHERE u.outcome <> 'failed') AS interrupted
	FROM unfinished u
	GROUP BY u.track
)
SELECT t.track, coalesce(a.versions, 0) AS applied,
	(SELECT m.version FROM tapmig.schema_migrations m WHERE m.track = t.track
	 ORDER BY tapmig.version_key(m.version) DESC LIMIT 1) AS last_version,
	a.last_at AS last_applied_at,
	coalesce(n.failed, 0) AS failed, coalesce(n.interrupted, 0) AS interrupted,
	r.since AS running_since,
	-- A build shows its progress; a concurrent drop or rebuild has a lock on the
	-- index. One ON ONLY of a partitioned table is invalid by intention.
	(SELECT count(*)
	 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
	 JOIN pg_namespace s ON s.oid = c.relnamespace
	 WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relpersistence <> 't'
	 AND s.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
	 AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
					 WHERE p.datname = current_database() AND p.relid = i.indrelid)
	 AND NOT EXISTS (SELECT FROM pg_locks l
					 WHERE l.locktype = 'relation' AND l.relation = i.indexrelid AND l.granted
					 AND l.mode = 'ShareUpdateExclusiveLock'
					 AND l.database = (SELECT d.oid FROM pg_database d
									   WHERE d.datname = current_database())))
	 AS invalid_indexes,
	-- A damaged script that is no version's, and a trigger, have no track: they count in all.
	coalesce(t.track NOT IN (SELECT v.track FROM tapmig.verify() v), false) AS ledger_ok
FROM track t
LEFT JOIN applied a ON a.track = t.track
LEFT JOIN tries n ON n.track = t.track
LEFT JOIN running r ON r.track = t.track;

COMMENT ON VIEW tapmig.health IS
	'for monitoring: one row a track; reads the whole ledger';
COMMENT ON COLUMN tapmig.health.applied IS 'number of versions in force';
COMMENT ON COLUMN tapmig.health.last_version IS 'the highest version in force';
COMMENT ON COLUMN tapmig.health.last_applied_at IS 'when a version was last applied, the highest or another';
COMMENT ON COLUMN tapmig.health.failed IS 'number of versions not in force whose last try failed';
COMMENT ON COLUMN tapmig.health.interrupted IS 'number of versions not in force whose last try was interrupted, or lost its process';
COMMENT ON COLUMN tapmig.health.running_since IS 'begin of what is under way; null: nothing';
COMMENT ON COLUMN tapmig.health.invalid_indexes IS
	'number of INVALID indexes in the whole database that nobody is building or dropping; on a standby those under construction too';
COMMENT ON COLUMN tapmig.health.ledger_ok IS 'tapmig.verify() finds nothing wrong in the track';

--
-- From one database to the next.  LANGUAGE sql, with a search_path of their own.
--

-- The last try of a version counts as long as no event of the ledger is newer,
-- as in tapmig.plan.  Runs with the owner's rights: whoever may deploy may know
-- which tries are open, and not what their errors say.
CREATE FUNCTION tapmig.report(track text DEFAULT NULL) RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET "TimeZone" = 'UTC'
AS $$
WITH asked AS (
	SELECT coalesce(report.track, nullif(current_setting('tapmig.track', true), ''), 'main') AS track
), last_try AS (
	SELECT DISTINCT ON (tapmig.version_key(a.version) COLLATE "C")
		a.track, a.version, tapmig.version_key(a.version) AS key, a.outcome, a.started_at, a.finished_at
	FROM tapmig.attempts a
	WHERE a.track = (SELECT s.track FROM asked s)
	ORDER BY tapmig.version_key(a.version) COLLATE "C", a.id DESC
), open_try AS (
	SELECT t.key, t.version, jsonb_build_object('outcome', t.outcome,
		'started_at', t.started_at, 'finished_at', t.finished_at) AS attempt
	FROM last_try t
	WHERE t.outcome IN ('failed', 'interrupted', 'running')
	AND coalesce((SELECT h.at <= coalesce(t.finished_at, t.started_at) FROM tapmig.history h
				  WHERE h.track = t.track AND h.event <> 'applied' AND h.event <> 'step_done'
				  AND tapmig.version_key(h.version) COLLATE "C" = t.key COLLATE "C"
				  ORDER BY h.seq DESC LIMIT 1), true)
	AND NOT EXISTS (SELECT FROM tapmig.schema_migrations m
					WHERE m.track = t.track AND m.kind = 'applied'
					AND tapmig.version_key(m.version) COLLATE "C" = t.key COLLATE "C"
					AND m.applied_at > coalesce(t.finished_at, t.started_at))
), last_event AS (
	SELECT DISTINCT ON (tapmig.version_key(h.version) COLLATE "C") tapmig.version_key(h.version) AS key, h.event
	FROM tapmig.history h
	WHERE h.track = (SELECT s.track FROM asked s) AND h.event IN ('applied', 'registered', 'accepted')
	ORDER BY tapmig.version_key(h.version) COLLATE "C", h.seq DESC
), pair AS (
	SELECT m.version, c AS taken_back,
		CASE WHEN c ~ '^[Vv]?[0-9]' THEN tapmig.version_key(c) END AS taken_back_key
	FROM tapmig.schema_migrations m,
		jsonb_array_elements_text(CASE jsonb_typeof(m.directives->'compensates')
								  WHEN 'array' THEN m.directives->'compensates' END) c
	WHERE m.track = (SELECT s.track FROM asked s)
), entry AS (
	SELECT coalesce(m.key, t.key) AS key, jsonb_build_object(
		'version', coalesce(m.version, t.version), 'name', m.name, 'kind', m.kind,
		'applied_at', m.applied_at, 'source', m.source,
		'checksum', encode(m.checksum, 'hex'),
		'also', (SELECT jsonb_agg(encode(a, 'hex')) FROM unnest(m.also) a),
		'accepted', e.event = 'accepted',
		'compensates', c.versions, 'compensated_by', b.versions,
		'attempt', t.attempt) AS value
	FROM (SELECT m.*, tapmig.version_key(m.version) AS key FROM tapmig.schema_migrations m
		  WHERE m.track = (SELECT s.track FROM asked s)) m
	FULL JOIN open_try t ON t.key = m.key
	LEFT JOIN last_event e ON e.key = m.key
	LEFT JOIN (SELECT p.version, jsonb_agg(p.taken_back ORDER BY p.taken_back COLLATE "C") AS versions
			   FROM pair p GROUP BY p.version) c ON c.version = m.version
	LEFT JOIN (SELECT p.taken_back_key, jsonb_agg(p.version ORDER BY p.version COLLATE "C") AS versions
			   FROM pair p GROUP BY p.taken_back_key) b ON b.taken_back_key = m.key
)
SELECT jsonb_build_object(
	'tapmig', (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'tapmig'),
	'database', current_database(), 'track', (SELECT s.track FROM asked s), 'now', now(),
	'versions', coalesce((SELECT jsonb_agg(r.value ORDER BY r.key COLLATE "C") FROM entry r), '[]'))
$$;
COMMENT ON FUNCTION tapmig.report(text) IS
	'a track''s versions in force and open tries, for tapmig.green in another database';

-- The first file that is not green stops all after it, and what one of the other
-- database's migrations takes back stops, or goes, with that one. A green file
-- with a reason is one that goes regardless of it.
CREATE FUNCTION tapmig.green(versions text[], checksums text[], report jsonb,
							 soak interval DEFAULT '24 hours', regardless text DEFAULT NULL)
	RETURNS TABLE (version text, green boolean, time_left interval, reason text)
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
-- A stored report is unpacked each time that a part of it is asked for.
WITH clock AS MATERIALIZED (
	SELECT (green.report->>'now')::timestamptz AS now
), file AS (
	SELECT f.n, f.version, tapmig.version_key(f.version) AS key, lower(f.checksum) AS checksum
	FROM unnest(green.versions, green.checksums) WITH ORDINALITY f (version, checksum, n)
), there AS (
	SELECT DISTINCT ON (tapmig.version_key(v->>'version') COLLATE "C")
		v->>'version' AS version, tapmig.version_key(v->>'version') AS key, v->>'kind' AS kind,
		(v->>'applied_at')::timestamptz AS applied_at, lower(v->>'checksum') AS checksum,
		(v->>'accepted')::boolean AS accepted, coalesce(v->'attempt'->>'outcome',
			substring(v->>'state', '^(?:failed|interrupted|running)$')) AS outcome,
		CASE jsonb_typeof(v->'also') WHEN 'array' THEN v->'also' ELSE '[]' END AS also,
		CASE jsonb_typeof(v->'compensates') WHEN 'array' THEN v->'compensates' ELSE '[]' END AS compensates
	FROM jsonb_array_elements(green.report->'versions') v
	ORDER BY tapmig.version_key(v->>'version') COLLATE "C", (v->>'applied_at')::timestamptz DESC
), pair AS (
	SELECT f.n AS taken_back, b.n AS by, t.version
	FROM there t CROSS JOIN jsonb_array_elements_text(t.compensates) c
	JOIN file f ON f.key = CASE WHEN c ~ '^[Vv]?[0-9]' THEN tapmig.version_key(c) END
	LEFT JOIN file b ON b.key = t.key
	WHERE t.kind IS NOT NULL
), mate AS (
	SELECT DISTINCT ON (p.n) p.n, f.version
	FROM (SELECT x.by, x.taken_back FROM pair x UNION ALL SELECT x.taken_back, x.by FROM pair x) p (n, other)
	JOIN file f ON f.n = p.other
	ORDER BY p.n, p.other
), alone AS (
	SELECT p.taken_back AS n, min(p.version COLLATE "C") AS version
	FROM pair p WHERE p.by IS NULL GROUP BY p.taken_back
), aged AS (
	SELECT f.n, f.version, t.kind, t.outcome, t.accepted,
		coalesce(f.checksum = t.checksum OR t.also ? f.checksum, false) AS same,
		CASE WHEN isfinite(t.applied_at) THEN c.now - t.applied_at END AS age,
		o.version AS compensated_by
	FROM clock c CROSS JOIN file f LEFT JOIN there t ON t.key = f.key LEFT JOIN alone o ON o.n = f.n
), judged AS (
	SELECT a.n, a.version,
		a.n IN (SELECT f.n FROM file f WHERE f.key = tapmig.version_key(green.regardless)
				UNION SELECT p.by FROM pair p JOIN file f ON f.n = p.taken_back
				WHERE f.key = tapmig.version_key(green.regardless)
				UNION SELECT p.taken_back FROM pair p JOIN file f ON f.n = p.by
				WHERE f.key = tapmig.version_key(green.regardless)) AS let_through,
		CASE WHEN a.outcome = 'running' THEN 'is running there'
			WHEN a.outcome IS NOT NULL THEN 'its last try there was ' || a.outcome
			WHEN a.kind IS NULL THEN 'is not applied there'
			WHEN a.kind <> 'applied' THEN 'is ' || a.kind || ' there, not applied'
			WHEN NOT a.same THEN 'was applied there with another checksum'
			WHEN a.accepted THEN 'was edited after it was applied there'
			WHEN a.compensated_by IS NOT NULL
				THEN 'is compensated there by ' || a.compensated_by || ', which is not pending here'
			WHEN a.age IS NULL THEN 'has no time there'
			WHEN (a.age < green.soak) IS NOT FALSE THEN 'was applied there too short a time ago' END AS reason,
		date_trunc('second', justify_interval(green.soak - a.age) + '1 second') AS time_left
	FROM aged a
), stop AS (
	SELECT coalesce(min(j.n) - 1, (SELECT count(*) FROM file)) AS at FROM judged j
	WHERE j.reason IS NOT NULL AND NOT coalesce(j.let_through, false)
), stopper AS (
	SELECT j.* FROM judged j JOIN stop s ON j.n = s.at + 1
), last AS (
	SELECT coalesce(max(k), 0) AS at
	FROM generate_series(0, (SELECT s.at FROM stop s)) k
	WHERE NOT EXISTS (SELECT FROM pair p WHERE least(p.taken_back, p.by) <= k AND k < greatest(p.taken_back, p.by))
)
-- What is let through has no reason of its own to wait, only what stops it; it
-- goes regardless where any of its pair is not green.
SELECT j.version, j.n <= l.at,
	CASE WHEN j.n > l.at AND w.version IS NOT NULL THEN CASE WHEN w.reason LIKE 'was applied there too%' THEN w.time_left END
		WHEN j.n > l.at AND j.reason LIKE 'was applied there too%' THEN j.time_left END,
	CASE WHEN w.version IS NOT NULL THEN 'comes after ' || w.version
		WHEN j.n > l.at AND (j.reason IS NULL OR j.let_through)
			THEN coalesce('goes together with ' || m.version,
						  'comes after ' || (SELECT f.version FROM file f WHERE f.n = l.at + 1))
		WHEN j.let_through AND j.reason IS NULL AND EXISTS (SELECT FROM judged o WHERE o.let_through AND o.reason IS NOT NULL)
			THEN 'goes together with ' || m.version
		ELSE j.reason END
FROM judged j CROSS JOIN last l
	LEFT JOIN stopper w ON j.let_through AND j.n > w.n
	LEFT JOIN mate m ON m.n = j.n
ORDER BY j.n
$$;
COMMENT ON FUNCTION tapmig.green(text[], text[], jsonb, interval, text) IS
	'which of these files another database, by its tapmig.report, has had applied for long enough, in order';

--
-- Moving in: the ledgers of other tools.  They are found by their columns, since
-- every tool lets its table have another name.  A table's name is the one thing
-- that goes into a statement's text, quoted by regclass; DDL takes no parameters
-- either.  All of it runs with the caller's rights; so a table whose policies
-- would run with them as well is refused.
--

CREATE FUNCTION tapmig.foreign_ledgers()
	RETURNS TABLE (ledger regclass, tool text, adopted boolean)
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
WITH shape (tool, only_these, name, types) AS (VALUES
	('runbook', true, 'version', '{text,varchar,int4,int8}'::name[]),
	('runbook', true, 'applied_at', '{timestamptz,timestamp}'),
	('runbook', true, 'source', '{text,varchar}'),
	('flyway', false, 'installed_rank', '{int4,int8}'),
	('flyway', false, 'version', '{varchar,text}'),
	('flyway', false, 'description', '{varchar,text}'),
	('flyway', false, 'type', '{varchar,text}'),
	('flyway', false, 'script', '{varchar,text}'),
	('flyway', false, 'checksum', '{int4,int8}'),
	('flyway', false, 'installed_by', '{varchar,text}'),
	('flyway', false, 'installed_on', '{timestamp,timestamptz}'),
	('flyway', false, 'execution_time', '{int4,int8}'),
	('flyway', false, 'success', '{bool}'),
	('golang-migrate', true, 'version', '{int8,int4}'),
	('golang-migrate', true, 'dirty', '{bool}'),
	('goose', false, 'id', '{int4,int8}'),
	('goose', false, 'version_id', '{int8,int4}'),
	('goose', false, 'is_applied', '{bool}'),
	('goose', false, 'tstamp', '{timestamp,timestamptz}'),
	('dbmate', true, 'version', '{varchar,text}'),
	('sqitch', false, 'change_id', '{text}'),
	('sqitch', false, 'change', '{text}'),
	('sqitch', false, 'project', '{text}'),
	('sqitch', false, 'committed_at', '{timestamptz}'),
	('sqitch', false, 'committer_name', '{text}'),
	('sqitch', false, 'planned_at', '{timestamptz}'),
	('sqitch', false, 'script_hash', '{text}'),
	('prisma', false, 'id', '{varchar,text}'),
	('prisma', false, 'checksum', '{varchar,text}'),
	('prisma', false, 'finished_at', '{timestamptz,timestamp}'),
	('prisma', false, 'migration_name', '{varchar,text}'),
	('prisma', false, 'rolled_back_at', '{timestamptz,timestamp}'),
	('prisma', false, 'started_at', '{timestamptz,timestamp}'),
	('prisma', false, 'applied_steps_count', '{int4,int8}'),
	('diesel', true, 'version', '{varchar,text}'),
	('diesel', true, 'run_on', '{timestamp,timestamptz}'),
	('sqlx', false, 'version', '{int8}'),
	('sqlx', false, 'description', '{text,varchar}'),
	('sqlx', false, 'installed_on', '{timestamptz,timestamp}'),
	('sqlx', false, 'success', '{bool}'),
	('sqlx', false, 'checksum', '{bytea}'),
	('sqlx', false, 'execution_time', '{int8}'),
	('graphile-migrate', false, 'hash', '{text}'),
	('graphile-migrate', false, 'previous_hash', '{text}'),
	('graphile-migrate', false, 'filename', '{text}'),
	('graphile-migrate', false, 'date', '{timestamptz}'),
	('node-pg-migrate', true, 'id', '{int4,int8}'),
	('node-pg-migrate', true, 'name', '{varchar,text}'),
	('node-pg-migrate', true, 'run_on', '{timestamp,timestamptz}'),
	('sql-migrate', true, 'id', '{text,varchar}'),
	('sql-migrate', true, 'applied_at', '{timestamptz}'),
	('supabase', false, 'version', '{text,varchar}'),
	('supabase', false, 'statements', '{_text}'),
	('supabase', false, 'name', '{text,varchar}')
), found AS (
	SELECT c.oid, n.nspname, c.relname, s.tool
	FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_attribute a ON a.attrelid = c.oid
	JOIN pg_type t ON t.oid = a.atttypid AND t.typnamespace = 'pg_catalog'::regnamespace
	JOIN shape s ON s.name = a.attname AND t.typname = ANY (s.types)
	WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
	AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'tapmig')
	AND n.nspname !~ '^pg_(toast|temp)'
	AND a.attnum > 0 AND NOT a.attisdropped
	AND NOT EXISTS (SELECT FROM pg_depend d
					WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
	-- One column says little: as a ledger's it is unique.
	AND (s.tool <> 'dbmate' OR
		 EXISTS (SELECT FROM pg_index i
				 WHERE i.indrelid = c.oid AND i.indisunique AND i.indkey[0] = a.attnum
				 AND i.indnkeyatts = 1 AND i.indpred IS NULL))
	-- The table beside it is read as well: no view, and no column with a cast of somebody's.
	AND (s.tool <> 'sqitch' OR
		 (SELECT count(*) = 7
		  FROM pg_class e JOIN pg_attribute x ON x.attrelid = e.oid
		  WHERE e.relnamespace = n.oid AND e.relname = 'events' AND e.relkind = 'r'
		  AND NOT x.attisdropped
		  AND (x.attname, x.atttypid) IN (('change_id', 'text'::regtype), ('change', 'text'::regtype),
			  ('project', 'text'::regtype), ('committed_at', 'timestamptz'::regtype),
			  ('committer_name', 'text'::regtype), ('planned_at', 'timestamptz'::regtype),
			  ('event', 'text'::regtype))))
	GROUP BY c.oid, n.nspname, c.relname, s.tool, s.only_these
	HAVING count(*) = (SELECT count(*) FROM shape x WHERE x.tool = s.tool)
	AND (NOT s.only_these OR
		 count(*) = (SELECT count(*) FROM pg_attribute x
					 WHERE x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped))
)
SELECT f.oid::regclass,
	CASE WHEN f.tool = 'dbmate' AND f.nspname = 'supabase_migrations' THEN 'supabase' ELSE f.tool END,
	f.tool = 'runbook' AND EXISTS (
		SELECT FROM pg_trigger g JOIN pg_class v ON v.oid = g.tgrelid
		JOIN pg_namespace n ON n.oid = v.relnamespace
		WHERE g.tgfoid = 'tapmig.trigger_view_insert()'::regprocedure
		AND n.nspname = f.nspname AND f.relname = left(v.relname, 49) || '_before_tapmig')
FROM found f
ORDER BY f.nspname, f.relname, f.tool
$$;
COMMENT ON FUNCTION tapmig.foreign_ledgers() IS
	'the tables of this database that have the columns of another tool''s ledger; adopted: a view of tapmig''s ledger stands in its place';

CREATE FUNCTION tapmig.foreign_rows(ledger regclass)
	RETURNS TABLE (label text, applied_at timestamptz, source text, covers boolean,
				   problem text, checksum text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET row_security = off
AS $$
#variable_conflict use_column
DECLARE
	found_tool text := (SELECT min(l.tool) FROM tapmig.foreign_ledgers() l
						WHERE l.ledger = foreign_rows.ledger);
	query text;
BEGIN
	IF ledger IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'ledger must not be null',
			HINT = 'tapmig.foreign_ledgers() lists the tables that can be one.';
	END IF;
	IF found_tool IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('%s is not the ledger of a tool that tapmig knows', ledger),
			DETAIL = format('Its columns are: %s.',
				(SELECT coalesce(string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum), 'none')
				 FROM pg_attribute a
				 WHERE a.attrelid = ledger AND a.attnum > 0 AND NOT a.attisdropped)),
			HINT = 'tapmig baseline VERSION records all files up to a version; tapmig.register() records one, with its time and source.';
	END IF;

	query := CASE found_tool
	WHEN 'runbook' THEN $q$
		SELECT version::text, applied_at::timestamptz, nullif(source::text, ''), false, NULL, NULL
		FROM %s $q$

	-- The last row of a version counts. Rows without one are repeatable
	-- migrations, and the marker of a schema that Flyway made.
	WHEN 'flyway' THEN $q$
		SELECT coalesce(left(replace(version, '_', '.') || '_' ||
							 CASE WHEN type ~ 'BASELINE' AND script ~ '<<' THEN 'baseline'
								  ELSE translate(description, ' ', '_') END, 200), script),
			installed_on::timestamptz, format('flyway: %%s (%%s)', script, installed_by),
			success AND type ~ 'BASELINE',
			CASE WHEN version IS NULL THEN 'repeatable: it has no version'
				 WHEN NOT success THEN 'failed'
				 WHEN type ~ '^UNDO' THEN 'undone'
				 WHEN type = 'DELETE' THEN 'deleted by flyway repair' END, 'crc32:' || checksum
		FROM (SELECT DISTINCT ON (coalesce('V' || replace(version, '_', '.'), script)) *
			  FROM %s WHERE version IS NOT NULL OR type <> 'SCHEMA'
			  ORDER BY coalesce('V' || replace(version, '_', '.'), script), installed_rank DESC) r $q$

	-- One row: the version that the database has, so all files below it too.
	-- Dirty: the migration to it has failed in its middle.
	WHEN 'golang-migrate' THEN $q$
		SELECT version::text, NULL::timestamptz, 'golang-migrate', true,
			CASE WHEN dirty THEN 'dirty: it failed, and may be half done' END, NULL
		FROM %s WHERE version >= 0 OR dirty $q$

	-- Older ones add a row for each down; version 0 is goose's own.
	WHEN 'goose' THEN $q$
		SELECT version_id::text, tstamp::timestamptz, 'goose', false,
			CASE WHEN NOT is_applied THEN 'rolled back' END, NULL
		FROM (SELECT DISTINCT ON (version_id) * FROM %s ORDER BY version_id, id DESC) r
		WHERE version_id > 0 $q$

	WHEN 'dbmate' THEN $q$
		SELECT version, NULL::timestamptz, 'dbmate', false, NULL, NULL FROM %s $q$

	-- Its changes have names only; the time at which one was planned, in UTC,
	-- is its version. The runner reads sqitch.plan in the same way. What was
	-- not deployed, or no longer is, is in the table beside it.
	WHEN 'sqitch' THEN $q$
		SELECT format('%%s%%s_%%s', second, CASE WHEN n > 1 THEN '.' || n END, change), committed_at,
			format('sqitch: %%s:%%s (%%s)', project, change, committer_name), false, problem, NULL
		FROM (SELECT *, row_number() OVER (PARTITION BY project, second
										   ORDER BY problem IS NOT NULL, committed_at, change_id) AS n
			  FROM (SELECT change_id, change, project, committed_at, committer_name,
						to_char(planned_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS') AS second, NULL AS problem
					FROM %1$s
					UNION ALL
					SELECT change_id, change, project, committed_at, committer_name,
						to_char(planned_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS'),
						CASE event WHEN 'fail' THEN 'failed' ELSE 'reverted' END
					FROM (SELECT DISTINCT ON (change_id) * FROM %2$s ORDER BY change_id, committed_at DESC) e
					WHERE event IN ('fail', 'revert')
					AND NOT EXISTS (SELECT FROM %1$s c WHERE c.change_id = e.change_id)) c) r $q$

	WHEN 'prisma' THEN $q$
		SELECT migration_name, coalesce(finished_at, started_at)::timestamptz,
			'prisma: ' || migration_name, false,
			CASE WHEN rolled_back_at IS NOT NULL THEN 'rolled back'
				 WHEN finished_at IS NULL THEN 'failed: it has no end' END, lower(checksum)
		FROM (SELECT DISTINCT ON (migration_name) * FROM %s
			  ORDER BY migration_name, finished_at IS NOT NULL AND rolled_back_at IS NULL DESC,
				  started_at DESC) r $q$

	WHEN 'diesel' THEN $q$
		SELECT version, run_on::timestamptz, 'diesel', false, NULL, NULL FROM %s $q$

	WHEN 'sqlx' THEN $q$
		SELECT left(version || '_' || translate(description, ' ', '_'), 200), installed_on::timestamptz, 'sqlx', false,
			CASE WHEN NOT success THEN 'failed' END, 'sha384:' || encode(checksum, 'hex')
		FROM %s $q$

	WHEN 'graphile-migrate' THEN $q$
		SELECT filename, date, 'graphile-migrate: ' || filename, false, NULL, NULL FROM %s $q$

	WHEN 'node-pg-migrate' THEN $q$
		SELECT name, run_on::timestamptz, 'node-pg-migrate: ' || name, false, NULL, NULL FROM %s $q$

	WHEN 'sql-migrate' THEN $q$
		SELECT id, applied_at, 'sql-migrate: ' || id, false, NULL, NULL FROM %s $q$

	-- Before it had a name and statements its table was like dbmate's.
	-- A whole row as JSON would do, but for a column whose type has a cast to it.
	WHEN 'supabase' THEN format($q$
		SELECT concat_ws('_', version, nullif(%s, '')), NULL::timestamptz, 'supabase',
			false, NULL, NULL
		FROM %%s $q$,
		CASE WHEN EXISTS (SELECT FROM pg_attribute a
						  WHERE a.attrelid = ledger AND a.attname = 'name' AND NOT a.attisdropped
						  AND a.atttypid IN ('text'::regtype, 'varchar'::regtype))
			 THEN 'name' ELSE 'NULL' END)
	END;

	RETURN QUERY EXECUTE format($q$
		SELECT label, applied_at, source, covers,
			CASE WHEN problem IS NOT NULL THEN problem
				 WHEN label IS NULL OR label !~ '^[Vv]?[0-9]+([_.-].*)?$' OR label ~ '[[:cntrl:]]'
					 THEN 'its name does not begin with a version'
				 WHEN length(label) > 200 THEN 'its name is too long' END, checksum
		FROM (SELECT regexp_replace(label, '([.]up)?[.]sql$', '') AS label, applied_at, source, covers,
				  problem, checksum
			  FROM (%s) r (label, applied_at, source, covers, problem, checksum)) r
		ORDER BY label COLLATE "C", applied_at, source COLLATE "C"$q$,
		format(query, ledger, (SELECT format('%I.events', n.nspname)
							   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
							   WHERE c.oid = ledger)));
END
$$;
COMMENT ON FUNCTION tapmig.foreign_rows(regclass) IS
	'the migrations in another tool''s ledger; covers: files below it are in too; problem: why it is not in force; checksum: that of its file, where the tool keeps one, as tapmig.foreign_checksum has it';

-- Flyway's is a CRC-32 over the lines without their ends, as a signed number.
CREATE FUNCTION tapmig.foreign_checksum(tool text, script text) RETURNS text
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	bytes bytea := convert_to(script, 'UTF8');
	remainder int8[];
	crc int8;
BEGIN
	CASE tool
	WHEN 'prisma' THEN RETURN encode(sha256(bytes), 'hex');
	WHEN 'sqlx' THEN RETURN 'sha384:' || encode(sha384(bytes), 'hex');
	WHEN 'flyway' THEN
		FOR n IN 0..255 LOOP
			crc := n;
			FOR bit IN 1..8 LOOP
				crc := CASE crc & 1 WHEN 1 THEN (crc >> 1) # 3988292384 ELSE crc >> 1 END;
			END LOOP;
			remainder[n] := crc;
		END LOOP;
		bytes := convert_to(translate(script, E'\r\n', ''), 'UTF8');
		IF substr(bytes, 1, 3) = decode('EFBBBF', 'hex') THEN
			bytes := substr(bytes, 4);
		END IF;
		crc := 4294967295;
		FOR n IN 0..length(bytes) - 1 LOOP
			crc := (crc >> 8) # remainder[(crc # get_byte(bytes, n)) & 255];
		END LOOP;
		crc := crc # 4294967295;
		RETURN 'crc32:' || CASE WHEN crc > 2147483647 THEN crc - 4294967296 ELSE crc END;
	ELSE RETURN NULL;
	END CASE;
END
$$;
COMMENT ON FUNCTION tapmig.foreign_checksum(text, text) IS
	'a file''s checksum as that tool''s ledger has it; null: it keeps none that is compared';

CREATE FUNCTION tapmig.foreign_digest(ledger regclass) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
SELECT md5(coalesce(string_agg(r::text, E'\n'), '')) FROM tapmig.foreign_rows(ledger) r
$$;
COMMENT ON FUNCTION tapmig.foreign_digest(regclass) IS
	'changes when what tapmig.foreign_rows says of a ledger does';

CREATE FUNCTION tapmig.adopt_plan(ledger regclass, versions text[], checksums text[] DEFAULT NULL,
								  track text DEFAULT NULL)
	RETURNS TABLE (file int, label text, applied_at timestamptz, source text, action text, detail text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
WITH file AS (
	SELECT v.n::int AS n, v.label, tapmig.version_key(v.label) COLLATE "C" AS key, checksums[v.n] AS checksum
	FROM unnest(versions) WITH ORDINALITY v (label, n)
), foreign_row AS (
	SELECT r.*, tapmig.version_key(CASE WHEN r.label ~ '^[Vv]?[0-9]+([_.-].*)?$' AND r.label !~ '[[:cntrl:]]'
										AND length(r.label) <= 200 THEN r.label END) COLLATE "C" AS key
	FROM tapmig.foreign_rows(ledger) r
), one AS (
	SELECT r.*, row_number() OVER (PARTITION BY r.key ORDER BY r.problem IS NOT NULL, r.applied_at,
								   r.label COLLATE "C", r.source COLLATE "C") AS n
	FROM foreign_row r
), cover AS (
	SELECT r.key, r.label, r.applied_at, r.source FROM one r WHERE r.covers AND r.key IS NOT NULL
	ORDER BY r.key DESC LIMIT 1
), line AS (
	SELECT f.n AS file, coalesce(f.label, r.label) AS label, r.key, r.applied_at, r.source,
		CASE WHEN r.problem IS NOT NULL THEN r.problem
			 WHEN r.n > 1 AND r.key IS NOT NULL THEN 'another row of the same version' END AS problem,
		CASE WHEN (r.checksum ~ ':') = (f.checksum ~ ':') THEN r.checksum <> lower(f.checksum) END AS edited, NULL AS covered_by, true AS has_row
	FROM one r LEFT JOIN file f ON f.key = r.key
	UNION ALL
	SELECT f.n, f.label, f.key, c.applied_at, c.source, NULL, false, c.label, c.key IS NOT NULL
	FROM file f LEFT JOIN cover c ON f.key < c.key
	WHERE NOT EXISTS (SELECT FROM foreign_row r WHERE r.key = f.key)
), decided AS (
	SELECT l.*,
		CASE WHEN m.version IS NOT NULL THEN 'none'
			 WHEN l.problem IS NOT NULL THEN 'leave'
			 WHEN l.has_row THEN 'register'
			 ELSE 'pending' END AS action
	FROM line l
	LEFT JOIN tapmig.schema_migrations m
		ON m.track = coalesce(adopt_plan.track, nullif(current_setting('tapmig.track', true), ''), 'main')
		AND tapmig.version_key(m.version) COLLATE "C" = l.key
	WHERE l.has_row OR m.version IS NULL
)
SELECT CASE WHEN NOT coalesce(d.edited, false) OR d.action <> 'register' THEN d.file END,
	d.label, d.applied_at, d.source, d.action,
	CASE d.action
	WHEN 'none' THEN 'in the ledger of tapmig already'
	WHEN 'leave' THEN d.problem
	WHEN 'register' THEN nullif(concat_ws('; ',
		'at or below ' || d.covered_by,
		CASE WHEN d.file IS NULL THEN 'no file: recorded without its content'
			 WHEN d.edited THEN 'its file was edited since: recorded without its content' END), '')
	END
FROM decided d
ORDER BY d.key, d.action <> 'register', d.label COLLATE "C"
$$;
COMMENT ON FUNCTION tapmig.adopt_plan(regclass, text[], text[], text) IS
	'what to register of another tool''s ledger, with the numbers of the files that belong to it; action: register, none, leave (not in force there), pending (a file that is not in it)';

-- Inserts with the rights of the extension's owner: who may insert into a view
-- with this trigger may record a version, and nothing else.
-- Only columns of the view's own types: another type's cast to text may be
-- anybody's function, and would run with these rights.
CREATE FUNCTION tapmig.trigger_view_insert() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (SELECT count(*) FROM pg_attribute a
		WHERE a.attrelid = TG_RELID AND NOT a.attisdropped
		AND (a.attname, a.atttypid) IN (('version', 'text'::regtype), ('source', 'text'::regtype),
										('applied_at', 'timestamptz'::regtype))) <> 3
	THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('%s is no view that tapmig.ledger_view made', TG_RELID::regclass);
	END IF;
	-- Loads the library, which refuses others' triggers on the ledger.
	PERFORM tapmig.version_key('0');
	INSERT INTO tapmig.schema_migrations AS m (track, version, applied_at, source, applied_as)
	VALUES (TG_ARGV[0], NEW.version, NEW.applied_at, NEW.source, session_user)
	RETURNING m.version, m.applied_at, m.source INTO NEW.version, NEW.applied_at, NEW.source;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION tapmig.trigger_view_insert() IS
	'records what is inserted into a view that tapmig.ledger_view made; its argument is the track';

CREATE FUNCTION tapmig.ledger_view(schema_name text, view_name text DEFAULT 'schema_migrations',
								   track text DEFAULT NULL) RETURNS regclass
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	of_track text := coalesce(track, nullif(current_setting('tapmig.track', true), ''), 'main');
BEGIN
	-- A table's column would have this collation: another one, and comparing
	-- it with such a column is an error.
	EXECUTE format('CREATE VIEW %I.%I AS SELECT m.version COLLATE "default" AS version, m.applied_at, m.source'
				   ' FROM tapmig.schema_migrations m WHERE m.track = %L', schema_name, view_name, of_track);
	EXECUTE format('CREATE TRIGGER insert_row INSTEAD OF INSERT ON %I.%I FOR EACH ROW'
				   ' EXECUTE FUNCTION tapmig.trigger_view_insert(%L)', schema_name, view_name, of_track);
	EXECUTE format('COMMENT ON VIEW %I.%I IS %L', schema_name, view_name,
				   'the ledger of tapmig; an INSERT records a version that was applied by other means');
	RETURN format('%I.%I', schema_name, view_name)::regclass;
END
$$;
COMMENT ON FUNCTION tapmig.ledger_view(text, text, text) IS
	'makes a view (version, applied_at, source) of a track of the ledger, which takes INSERTs too';

CREATE FUNCTION tapmig.adopt_finish(ledger regclass, digest text, track text DEFAULT NULL) RETURNS regclass
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	found_tool text := (SELECT min(l.tool) FROM tapmig.foreign_ledgers() l
						WHERE l.ledger = adopt_finish.ledger AND NOT l.adopted);
	t record;
	r record;
	made regclass;
	readers text;
BEGIN
	IF found_tool = 'runbook' THEN
		SELECT n.nspname, c.relname, c.relowner, c.relacl, left(c.relname, 49) || '_before_tapmig' AS kept
		INTO STRICT t
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ledger;
		IF to_regclass(format('%I.%I', t.nspname, t.kept)) IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
				MESSAGE = format('%s cannot be kept as %I.%I: there is a relation of that name', ledger, t.nspname, t.kept),
				DETAIL = 'Nothing was recorded.',
				HINT = 'It may be of an adoption before. Rename or drop it, then run tapmig adopt again.';
		END IF;
		EXECUTE format('ALTER TABLE %s RENAME TO %I', ledger, t.kept);
	END IF;
	IF tapmig.foreign_digest(ledger) <> digest THEN
		RAISE EXCEPTION USING ERRCODE = 'serialization_failure',
			MESSAGE = format('%s changed while it was adopted', ledger),
			DETAIL = 'Nothing was recorded.',
			HINT = 'Run tapmig adopt again.';
	END IF;
	IF found_tool IS DISTINCT FROM 'runbook' THEN
		RETURN NULL;
	END IF;

	-- The view takes the table's place: its owner, grants and defaults.
	made := tapmig.ledger_view(t.nspname, t.relname, track);
	FOR r IN
		SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) AS value
		FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = ledger AND a.attname IN ('applied_at', 'source') AND a.attgenerated = ''
	LOOP
		EXECUTE format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', made, r.attname, r.value);
	END LOOP;
	IF t.relowner <> (SELECT c.relowner FROM pg_class c WHERE c.oid = made) THEN
		EXECUTE format('ALTER VIEW %s OWNER TO %s', made, t.relowner::regrole);
	END IF;
	FOR r IN
		SELECT g.grantee, g.privilege_type AS privilege, g.is_grantable
		FROM aclexplode(t.relacl) g
		UNION ALL
		SELECT g.grantee, format('%s (%I)', g.privilege_type, a.attname), g.is_grantable
		FROM pg_attribute a, aclexplode(a.attacl) g
		WHERE a.attrelid = ledger AND a.attnum > 0 AND NOT a.attisdropped
	LOOP
		CONTINUE WHEN r.grantee = t.relowner;
		EXECUTE format('GRANT %s ON %s TO %s%s', r.privilege, made,
					   CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END,
					   CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' END);
	END LOOP;

	SELECT string_agg(DISTINCT o.name, ', ' ORDER BY o.name) INTO readers
	FROM (SELECT w.ev_class::regclass::text AS name
		  FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
		  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
		  AND d.refobjid = ledger AND w.ev_class <> ledger
		  UNION ALL
		  SELECT k.conrelid::regclass::text FROM pg_constraint k
		  WHERE k.contype = 'f' AND k.confrelid = ledger) o;
	IF readers IS NOT NULL THEN
		RAISE WARNING USING MESSAGE = format('these refer to %s, the old table, and not to the view: %s', ledger, readers);
	END IF;
	RETURN made;
END
$$;
COMMENT ON FUNCTION tapmig.adopt_finish(regclass, text, text) IS
	'ends an adoption: 40001 when the ledger has changed since its digest was taken; puts a view in the place of a runbook''s table, which is kept as NAME_before_tapmig';

--
-- Rights.  First nobody has any, whatever ALTER DEFAULT PRIVILEGES gave: only
-- the owner writes the tables, and scripts may hold secrets.
--

DO $$
DECLARE
	object text;
	grantee text;
BEGIN
	FOR object, grantee IN
		SELECT o.object, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
		FROM (SELECT 'SCHEMA tapmig', nspowner, nspacl
			  FROM pg_namespace WHERE nspname = 'tapmig'
			  UNION ALL
			  SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass, relowner, relacl
			  FROM pg_class WHERE relnamespace = 'tapmig'::regnamespace AND relkind IN ('r', 'v', 'S')
			  UNION ALL
			  SELECT 'ROUTINE ' || oid::regprocedure, proowner,
					 coalesce(proacl, acldefault('f', proowner))
			  FROM pg_proc WHERE pronamespace = 'tapmig'::regnamespace) o (object, owner, acl),
			 aclexplode(o.acl) a
		WHERE a.grantee <> o.owner
		GROUP BY o.object, a.grantee
	LOOP
		EXECUTE format('REVOKE ALL ON %s FROM %s', object, grantee);
	END LOOP;
END
$$;

GRANT USAGE ON SCHEMA tapmig TO PUBLIC;
GRANT SELECT ON tapmig.schema_migrations TO PUBLIC;
GRANT EXECUTE ON FUNCTION tapmig.version_key(text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION tapmig.is_applied(text, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION tapmig.require(text, text) TO PUBLIC;
GRANT EXECUTE ON PROCEDURE tapmig.wait_for(text, interval, text) TO PUBLIC;
GRANT SELECT ON tapmig.history, tapmig.attempts, tapmig.running, tapmig.health TO pg_monitor;
GRANT EXECUTE ON FUNCTION tapmig.verify(bytea) TO pg_monitor;
GRANT EXECUTE ON FUNCTION tapmig.holder(text) TO pg_monitor;
GRANT EXECUTE ON FUNCTION tapmig.report(text) TO pg_monitor;
GRANT EXECUTE ON FUNCTION tapmig.green(text[], text[], jsonb, interval, text) TO PUBLIC;
