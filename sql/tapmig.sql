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
-- Every apply asks for squashes; the key makes this index beat the others even
-- where the planner believes the table to be tiny.
CREATE INDEX schema_migrations_replaces
	ON tapmig.schema_migrations (track, tapmig.version_key(version) COLLATE "C")
	WHERE directives ? 'replaces';

COMMENT ON TABLE tapmig.schema_migrations IS 'the versions in force, one row each';
COMMENT ON COLUMN tapmig.schema_migrations.track IS 'sequence of versions that the row belongs to';
COMMENT ON COLUMN tapmig.schema_migrations.version IS 'version; ORDER BY tapmig.version_key(version) orders versions of any form';
COMMENT ON COLUMN tapmig.schema_migrations.name IS 'what follows the version in the migration''s name';
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

CREATE SEQUENCE tapmig.history_seq AS bigint;
COMMENT ON SEQUENCE tapmig.history_seq IS 'numbers the events of tapmig.history; gaps are normal';

CREATE TABLE tapmig.history (
	seq				bigint NOT NULL PRIMARY KEY,
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
	state			bytea
);
CREATE INDEX history_track_seq ON tapmig.history (track, seq);
CREATE INDEX history_track_version
	ON tapmig.history (track, tapmig.version_key(version) COLLATE "C", seq);

COMMENT ON TABLE tapmig.history IS 'every event of the ledger; append-only, each event chained to the one before it in its track';
COMMENT ON COLUMN tapmig.history.seq IS 'order of events; gaps are normal';
COMMENT ON COLUMN tapmig.history.by_user IS 'session_user';
COMMENT ON COLUMN tapmig.history.reason IS 'why a correction was made, as given';
COMMENT ON COLUMN tapmig.history.chain IS 'SHA-256 over this event and the chain of the track''s event before it; keep one elsewhere for tapmig.verify';
COMMENT ON COLUMN tapmig.history.state IS 'SHA-256 over the version''s row in tapmig.schema_migrations after the event; null where it has none';

CREATE TABLE tapmig.scripts (
	checksum		bytea NOT NULL PRIMARY KEY CHECK (octet_length(checksum) = 32),
	sql				text NOT NULL
);
COMMENT ON TABLE tapmig.scripts IS 'the text of the scripts that ran; it may hold secrets';
COMMENT ON COLUMN tapmig.scripts.checksum IS 'SHA-256 of the text in UTF-8';

CREATE SEQUENCE tapmig.attempts_id_seq AS bigint;
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
	pid				int,
	sqlstate		text,
	message			text,
	detail			text,
	line			int
);
CREATE INDEX attempts_track_version
	ON tapmig.attempts (track, tapmig.version_key(version) COLLATE "C", id DESC);

COMMENT ON TABLE tapmig.attempts IS 'tries of stepwise scripts, and failed tries of any';
COMMENT ON COLUMN tapmig.attempts.outcome IS 'running, applied, failed, interrupted or abandoned';
COMMENT ON COLUMN tapmig.attempts.steps IS 'number of steps in the script';
COMMENT ON COLUMN tapmig.attempts.steps_done IS 'number of finished steps';
COMMENT ON COLUMN tapmig.attempts.step_fingerprints IS 'fingerprints of the steps';
COMMENT ON COLUMN tapmig.attempts.settings IS 'settings that the finished steps made';
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

CREATE FUNCTION tapmig.verify(head bytea DEFAULT NULL)
	RETURNS TABLE (track text, seq bigint, version text, problem text)
	AS 'MODULE_PATHNAME', 'tapmig_verify'
	LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION tapmig.verify(bytea) IS
	'what is wrong with the ledger and its history, in all tracks; no row: nothing. head: a history.chain kept elsewhere';

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
GRANT SELECT ON tapmig.history, tapmig.attempts TO pg_monitor;
GRANT EXECUTE ON FUNCTION tapmig.verify(bytea) TO pg_monitor;
