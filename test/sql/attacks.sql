-- What hostile roles and hostile scripts try: none gains a right, and none forges a
-- row. Error codes only where the server's texts differ between versions.

\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE ROLE regress_tapmig_app LOGIN;
CREATE ROLE regress_tapmig_deployer LOGIN;
CREATE SCHEMA attacks;
SET search_path = attacks, public;
GRANT ALL ON SCHEMA attacks TO PUBLIC;
GRANT EXECUTE ON PROCEDURE tapmig.run TO regress_tapmig_deployer;
GRANT EXECUTE ON FUNCTION tapmig.apply, tapmig.register, tapmig.plan, tapmig.statements, tapmig.rehearse,
	tapmig.lint, tapmig.directives, tapmig.report TO regress_tapmig_deployer;
-- Of doc/adopt.md
GRANT EXECUTE ON FUNCTION tapmig.foreign_ledgers, tapmig.foreign_rows, tapmig.foreign_digest,
	tapmig.adopt_plan, tapmig.adopt_finish, tapmig.ledger_view, tapmig.trigger_view_insert TO regress_tapmig_deployer;

-- Traps note who ran them; what they do is their owner's, so that anybody may.
CREATE TABLE trapped (who text, what text);
CREATE FUNCTION sprung(who text, what text) RETURNS void LANGUAGE sql SECURITY DEFINER
	SET search_path = attacks, pg_temp AS 'INSERT INTO trapped VALUES (who, what)';

-- ------------------------------------------------------------ what is granted

-- Each function: who may call it beside its owner, whose rights it has, what it
-- finds first
SELECT p.oid::regprocedure AS function,
	(SELECT string_agg(CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, ', ')
	 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
	 WHERE a.grantee <> p.proowner AND a.grantee <> 'regress_tapmig_deployer'::regrole) AS callers,
	CASE WHEN p.prosecdef THEN 'owner' END AS rights,
	CASE WHEN l.lanname <> 'c' AND NOT coalesce(p.proconfig @> '{"search_path=pg_catalog, pg_temp"}', false)
		THEN 'any search_path' END AS problem
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'tapmig'::regnamespace
ORDER BY p.proname COLLATE "C", 1;

SELECT c.relname, c.relkind, string_agg(CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
		|| ' ' || a.privilege_type, ', ' ORDER BY 1) AS others
FROM pg_class c LEFT JOIN aclexplode(c.relacl) a ON a.grantee <> c.relowner
WHERE c.relnamespace = 'tapmig'::regnamespace AND c.relkind <> 'i'
GROUP BY 1, 2 ORDER BY c.relname COLLATE "C";

-- ------------------------------------------- a superuser's script and the ledger

SELECT tapmig.register('1', 'SELECT 1', track => 'attacks');
CREATE FUNCTION forge() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tapmig.schema_migrations (track, version) VALUES ('attacks', '666');
	RETURN 1;
END $$;
CREATE FUNCTION forge_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM attacks.forge(); RETURN NEW; END $$;
CREATE FUNCTION forge_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM attacks.forge(); RETURN NULL; END $$;
CREATE FUNCTION forge_kind() RETURNS void LANGUAGE sql AS $$
	INSERT INTO tapmig.schema_migrations (track, version, kind, applied_at, source, applied_by, applied_as, out_of_order)
	VALUES ('attacks', '667', 'applied', now(), 'x', 'x', 'x', false) $$;
CREATE VIEW through_view AS SELECT * FROM tapmig.schema_migrations;
SELECT tapmig.ledger_view('attacks', 'insert_view', 'attacks');

-- The error of a script that is applied, or its outcome
CREATE FUNCTION attack(script text, call text DEFAULT 'apply') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE CASE call WHEN 'apply' THEN 'SELECT tapmig.apply(''999'', $1, track => ''attacks'')'
			ELSE 'SELECT count(*) FROM tapmig.rehearse($1)' END INTO result USING script;
	RAISE EXCEPTION USING ERRCODE = 'ZZ001', MESSAGE = result;
EXCEPTION WHEN OTHERS THEN
	RETURN CASE SQLSTATE WHEN 'ZZ001' THEN SQLERRM ELSE SQLSTATE || ' ' || left(SQLERRM, 60) END;
END $$;

CREATE TABLE scripts (n serial, script text);
COPY scripts (script) FROM stdin;
INSERT INTO tapmig.schema_migrations (track, version) VALUES ('attacks', '666')
SELECT attacks.forge()
SELECT attacks.forge_kind()
DO $$ BEGIN PERFORM attacks.forge(); END $$
DO $$ BEGIN EXECUTE 'INSERT INTO tapmig.schema_migrations (version) VALUES (''666'')'; END $$
COPY tapmig.schema_migrations (track, version) FROM stdin;\nattacks\t666\n\\.\n
COPY tapmig.schema_migrations (track, version) FROM PROGRAM 'printf "attacks\\t666\\n"'
WITH i AS (INSERT INTO tapmig.schema_migrations (track, version) VALUES ('attacks', '666') RETURNING 1) SELECT * FROM i
MERGE INTO tapmig.schema_migrations m USING (SELECT 1) s ON false WHEN NOT MATCHED THEN INSERT (track, version) VALUES ('attacks', '666')
MERGE INTO tapmig.schema_migrations m USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE
UPDATE tapmig.schema_migrations SET source = 'forged'
UPDATE tapmig.history SET by_user = 'nobody'
DELETE FROM tapmig.schema_migrations
DELETE FROM tapmig.history
DELETE FROM tapmig.scripts
UPDATE tapmig.scripts SET sql = 'SELECT 2'
DELETE FROM tapmig.attempts
INSERT INTO tapmig.attempts (track, version, started_at, outcome, steps, steps_done) VALUES ('attacks', '1', now(), 'applied', 1, 1)
INSERT INTO tapmig.history (seq, track, version, event, at, by_user, chain) VALUES (1, 'attacks', '666', 'applied', now(), 'x', '\\\\x00')
INSERT INTO tapmig.scripts VALUES (sha256('x'), 'x')
TRUNCATE tapmig.schema_migrations
TRUNCATE tapmig.history CASCADE
TRUNCATE tapmig.scripts
UPDATE pg_catalog.pg_trigger SET tgenabled = 'D' WHERE tgrelid IN ('tapmig.history'::regclass, 'tapmig.schema_migrations'::regclass); TRUNCATE tapmig.history, tapmig.schema_migrations
UPDATE pg_catalog.pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'tapmig.schema_migrations'::regclass; SELECT attacks.forge_kind()
SELECT * FROM tapmig.schema_migrations FOR UPDATE
INSERT INTO attacks.through_view (track, version) VALUES ('attacks', '666')
UPDATE attacks.through_view SET source = 'forged'
INSERT INTO attacks.insert_view (version) VALUES ('666')
SET session_replication_role = replica; SELECT attacks.forge()
SET session_replication_role = replica; DELETE FROM tapmig.history
SET tapmig.track = 'other'; SELECT attacks.forge()
ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER ALL
ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER insert_row
ALTER TABLE tapmig.history DISABLE TRIGGER USER
ALTER TABLE tapmig.schema_migrations ENABLE REPLICA TRIGGER insert_row
DO $$ BEGIN ALTER TABLE tapmig.history DISABLE TRIGGER ALL; END $$
SET search_path = tapmig; ALTER TABLE schema_migrations DISABLE TRIGGER ALL
DROP TRIGGER insert_row ON tapmig.schema_migrations
ALTER TRIGGER insert_row ON tapmig.schema_migrations RENAME TO other
CREATE TRIGGER zz AFTER INSERT ON tapmig.schema_migrations FOR EACH ROW EXECUTE FUNCTION attacks.forge_row()
CREATE CONSTRAINT TRIGGER zz AFTER INSERT ON tapmig.history DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION attacks.forge_row()
CREATE RULE r AS ON INSERT TO tapmig.schema_migrations DO ALSO SELECT attacks.forge()
CREATE RULE r AS ON INSERT TO tapmig.history DO INSTEAD NOTHING
ALTER TABLE tapmig.schema_migrations ENABLE ROW LEVEL SECURITY
ALTER TABLE tapmig.schema_migrations FORCE ROW LEVEL SECURITY
CREATE POLICY p ON tapmig.schema_migrations USING (attacks.forge() = 1)
CREATE INDEX ON tapmig.schema_migrations (tapmig.version_key(source))
DROP INDEX tapmig.schema_migrations_key
ALTER INDEX tapmig.schema_migrations_key RENAME TO other
ALTER TABLE tapmig.schema_migrations ADD CHECK (attacks.forge() = 1) NOT VALID
ALTER TABLE tapmig.schema_migrations ADD COLUMN forged int DEFAULT attacks.forge()
ALTER TABLE tapmig.schema_migrations ALTER COLUMN source SET DEFAULT attacks.forge()::text
ALTER TABLE tapmig.schema_migrations DROP CONSTRAINT schema_migrations_pkey
ALTER TABLE tapmig.schema_migrations ALTER COLUMN applied_by TYPE text
ALTER TABLE tapmig.schema_migrations RENAME TO other
ALTER TABLE tapmig.schema_migrations RENAME COLUMN source TO other
ALTER TABLE tapmig.schema_migrations SET SCHEMA attacks
ALTER TABLE tapmig.schema_migrations OWNER TO regress_tapmig_app
ALTER TABLE tapmig.schema_migrations SET UNLOGGED
CREATE TABLE attacks.child () INHERITS (tapmig.schema_migrations)
ALTER SEQUENCE tapmig.history_seq RESTART
ALTER SEQUENCE tapmig.history_seq OWNER TO regress_tapmig_app
ALTER SCHEMA tapmig RENAME TO other
ALTER SCHEMA tapmig OWNER TO regress_tapmig_app
DROP SCHEMA tapmig CASCADE
DROP TABLE tapmig.history
DROP FUNCTION tapmig.version_key(text) CASCADE
CREATE OR REPLACE FUNCTION tapmig.trigger_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
SET search_path = tapmig; CREATE OR REPLACE FUNCTION version_key(version text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x' $$
CREATE FUNCTION tapmig.version_key(version varchar) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x' $$
ALTER FUNCTION tapmig.trigger_refuse() SET search_path = attacks
ALTER FUNCTION tapmig.report(text) SET search_path = attacks
ALTER FUNCTION tapmig.trigger_insert() RENAME TO other
ALTER FUNCTION tapmig.trigger_insert() OWNER TO regress_tapmig_app
ALTER FUNCTION tapmig.version_key(text) SET SCHEMA attacks
CREATE OR REPLACE VIEW tapmig.health AS SELECT 1 AS x
ALTER EXTENSION tapmig DROP TABLE tapmig.history
ALTER EXTENSION tapmig ADD TABLE attacks.trapped
ALTER EXTENSION tapmig UPDATE
DROP EXTENSION tapmig
DROP EXTENSION tapmig CASCADE
CREATE TABLE attacks.child (); ALTER TABLE attacks.child INHERIT tapmig.history
SELECT tapmig.register('666', track => 'attacks')
SELECT tapmig.accept('1', 'SELECT 2', 'why', track => 'attacks')
SELECT tapmig.withdraw('1', 'why', track => 'attacks')
SELECT tapmig.abandon('1', 'why', track => 'attacks')
SELECT tapmig.step_done('1', 1, 'why', track => 'attacks')
SELECT tapmig.apply('666', 'SELECT 1', track => 'attacks')
CALL tapmig.run('666', 'SELECT 1', track => 'attacks')
SELECT * FROM tapmig.rehearse('SELECT attacks.forge()')
SELECT * FROM tapmig.rehearse('INSERT INTO tapmig.schema_migrations (version) VALUES (''666'')')
CREATE TABLE attacks.c (i int); CREATE CONSTRAINT TRIGGER c AFTER INSERT ON attacks.c DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION attacks.forge_row(); INSERT INTO attacks.c VALUES (1); SET CONSTRAINTS ALL IMMEDIATE
CREATE TABLE attacks.g (i int CHECK (attacks.forge() = 1)); INSERT INTO attacks.g VALUES (1)
CREATE FUNCTION attacks.g(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT attacks.forge()'; CREATE TABLE attacks.h (i int); INSERT INTO attacks.h VALUES (1); CREATE INDEX ON attacks.h (attacks.g(i))
CREATE FUNCTION attacks.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM attacks.forge(); END'; CREATE EVENT TRIGGER attacks ON ddl_command_end EXECUTE FUNCTION attacks.e(); CREATE TABLE attacks.f ()
CREATE MATERIALIZED VIEW attacks.m AS SELECT attacks.forge()
PREPARE TRANSACTION 'attacks'
CREATE TABLE attacks.fk (t text, v text, FOREIGN KEY (t, v) REFERENCES tapmig.schema_migrations ON DELETE CASCADE)
CREATE TABLE attacks.fk (t text, v bigint); ALTER TABLE attacks.fk ADD FOREIGN KEY (t, v) REFERENCES tapmig.history ON DELETE CASCADE
ALTER TRIGGER insert_row ON tapmig.schema_migrations DEPENDS ON EXTENSION plpgsql
ALTER INDEX tapmig.schema_migrations_key DEPENDS ON EXTENSION plpgsql
CREATE TABLE tapmig.other (i int)
CREATE TABLE tapmig.other AS SELECT 1
SELECT 1 INTO tapmig.other
SET search_path = tapmig; CREATE TABLE other (i int)
CREATE VIEW tapmig.other AS SELECT 1
CREATE TYPE tapmig.other AS ENUM ()
CREATE DOMAIN tapmig.other AS int
CREATE SEQUENCE tapmig.other
CREATE OPERATOR tapmig.= (leftarg = text, rightarg = text, function = texteq)
CREATE STATISTICS attacks.s ON (attacks.forge() + length(source)), version FROM tapmig.schema_migrations
CREATE STATISTICS tapmig.other ON who, what FROM attacks.trapped
CREATE OPERATOR CLASS tapmig.other FOR TYPE text USING btree AS OPERATOR 1 <
CREATE OPERATOR FAMILY tapmig.other USING btree
CREATE CONVERSION tapmig.other FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8
CREATE FUNCTION attacks.run(text, text) RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION attacks.run SET SCHEMA tapmig
SET search_path = tapmig; CREATE TEMP TABLE other (i int); DROP TABLE other
PREPARE p AS SELECT attacks.forge(); EXECUTE p
\.

SELECT n, attack(replace(script, E'\n', ' ') || CASE WHEN script LIKE 'COPY%stdin%' THEN '' ELSE ';' END) AS result,
	left(replace(script, E'\n', ' '), 70) AS script
FROM scripts WHERE script NOT LIKE 'COPY%stdin%' ORDER BY n;
SELECT attack(script) AS result FROM scripts WHERE script LIKE 'COPY%stdin%';
SELECT attack('CREATE TABLE attacks.p (LIKE tapmig.schema_migrations) PARTITION BY LIST (track); ALTER TABLE attacks.p ATTACH PARTITION tapmig.schema_migrations DEFAULT;') AS attached;
SELECT n, attack(script || ';', 'rehearse') AS rehearsed FROM scripts
WHERE n IN (2, 3, 19, 33, 47) ORDER BY n;

-- What is left to the end of the transaction, by apply and by run
CREATE TABLE late (i int);
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION forge_row();
CREATE FUNCTION register_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM tapmig.register('668', track => 'attacks'); RETURN NEW; END $$;
CREATE TABLE late_call (i int);
CREATE CONSTRAINT TRIGGER late_call AFTER INSERT ON late_call DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION register_row();
CREATE FUNCTION later_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN SET CONSTRAINTS ALL DEFERRED; INSERT INTO attacks.late VALUES (1); RETURN NEW; END $$;
CREATE TABLE later (i int);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION later_row();
CREATE TABLE indexed (i int);
INSERT INTO indexed VALUES (1);
CREATE FUNCTION index_forge(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN attacks.forge(); END $$;
CREATE PROCEDURE commit_and_forge() LANGUAGE plpgsql AS $$ BEGIN COMMIT; PERFORM attacks.forge(); END $$;

SELECT tapmig.apply('700', 'INSERT INTO attacks.late VALUES (1)', track => 'attacks');
SELECT tapmig.apply('701', 'INSERT INTO attacks.late_call VALUES (1)', track => 'attacks');
SELECT tapmig.apply('702', 'INSERT INTO attacks.later VALUES (1)', track => 'attacks');
BEGIN; SELECT tapmig.apply('703', 'INSERT INTO attacks.late VALUES (1)', track => 'attacks'); COMMIT;
BEGIN; SELECT tapmig.apply('704', 'INSERT INTO attacks.late VALUES (1)', track => 'attacks'); SET CONSTRAINTS ALL IMMEDIATE; COMMIT;
DO $$ BEGIN PERFORM tapmig.apply('703', 'INSERT INTO attacks.late VALUES (1)', track => 'attacks'); COMMIT; END $$;
DO $$ BEGIN PERFORM tapmig.apply('703', 'INSERT INTO attacks.late_call VALUES (1)', track => 'attacks'); COMMIT; END $$;
-- What is not deferred there is the caller's own.
DO $$
DECLARE
	outcome text;
	v text;
BEGIN
	outcome := tapmig.apply('1', 'SELECT 1', track => 'a block''s');
	BEGIN
		PERFORM tapmig.apply('2', 'SELECT 1/0', track => 'a block''s');
	EXCEPTION WHEN division_by_zero THEN
		outcome := tapmig.apply('2', 'SELECT 1', track => 'a block''s');
	END;
	COMMIT;
	outcome := tapmig.apply('3', 'SELECT 1', track => 'a block''s');
	FOR v IN SELECT u FROM unnest('{4,5}'::text[]) u WHERE tapmig.apply(u, 'SELECT 1', track => 'a block''s') = 'applied'
	LOOP
		CALL tapmig.run(v || '1', 'SELECT 1', NULL, outcome, 'a block''s');
	END LOOP;
END $$;
SELECT string_agg(version, ' ' ORDER BY version) FROM tapmig.schema_migrations WHERE track = 'a block''s';
BEGIN; SELECT tapmig.apply('705', 'DECLARE c CURSOR WITH HOLD FOR SELECT attacks.forge()', track => 'attacks'); COMMIT;
BEGIN; SELECT tapmig.apply('706', 'INSERT INTO attacks.late VALUES (1)', track => 'attacks'); PREPARE TRANSACTION 'attacks';
BEGIN; SELECT tapmig.apply('707', 'SELECT 1', track => 'attacks'); SELECT forge_kind(); ROLLBACK;
CALL tapmig.run('710', 'INSERT INTO attacks.late VALUES (1)', track => 'attacks');
CALL tapmig.run('711', 'INSERT INTO attacks.late_call VALUES (1)', track => 'attacks');
CALL tapmig.run('712', 'INSERT INTO attacks.later VALUES (1)', track => 'attacks');
CALL tapmig.run('713', 'DECLARE c CURSOR WITH HOLD FOR SELECT attacks.forge()', track => 'attacks');
-- In the worker
CALL tapmig.run('720', 'VACUUM attacks.indexed; SELECT attacks.forge()', track => 'attacks');
CALL tapmig.run('721', 'VACUUM attacks.indexed; INSERT INTO attacks.late VALUES (1)', track => 'attacks');
CALL tapmig.run('722', 'VACUUM attacks.indexed; INSERT INTO attacks.later VALUES (1)', track => 'attacks');
CALL tapmig.run('723', 'VACUUM attacks.indexed; DECLARE c CURSOR WITH HOLD FOR SELECT attacks.forge()', track => 'attacks');
CALL tapmig.run('724', 'CREATE INDEX CONCURRENTLY forged ON attacks.indexed (attacks.index_forge(i))', track => 'attacks');
CALL tapmig.run('725', 'CALL attacks.commit_and_forge()', track => 'attacks');
CALL tapmig.run('726', 'SET session_replication_role = replica; VACUUM attacks.indexed; SELECT attacks.forge_kind()', track => 'attacks');
CALL tapmig.run('727', 'VACUUM attacks.indexed; ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER ALL', track => 'attacks');
-- Behind a COMMIT of the statement's own
CALL tapmig.run('728', 'DO $$BEGIN COMMIT; INSERT INTO attacks.late VALUES (1); END$$', track => 'attacks');
CALL tapmig.run('729', 'DO $$BEGIN COMMIT; INSERT INTO attacks.late_call VALUES (1); END$$', track => 'attacks');
CALL tapmig.run('7291', 'DO $$BEGIN COMMIT; INSERT INTO attacks.later VALUES (1); END$$', track => 'attacks');
SELECT event, version, by_user = session_user AS by_me FROM tapmig.history WHERE track = 'attacks' ORDER BY seq;
SELECT * FROM tapmig.verify();

-- A script that succeeds may leave what it likes; afterwards by hand is by hand.
BEGIN;
SAVEPOINT s;
SELECT tapmig.apply('730', 'SELECT 1', track => 'attacks');
ROLLBACK TO s;
SELECT count(*) FROM tapmig.rehearse('SELECT 1');
INSERT INTO tapmig.schema_migrations (track, version) VALUES ('attacks', '731');
ROLLBACK;

-- ----------------------------------------------- rights that nobody is to gain

-- A view's trigger inserts with the owner's rights; another type's cast would too.
SET SESSION AUTHORIZATION regress_tapmig_deployer;
CREATE TYPE evil AS (t text);
CREATE FUNCTION evil_text(evil) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM attacks.sprung(current_user, 'cast'); RETURN '669'; END $$;
CREATE CAST (evil AS text) WITH FUNCTION evil_text(evil) AS ASSIGNMENT;
CREATE TABLE lure (version evil, applied_at timestamptz, source text);
CREATE TRIGGER lure BEFORE INSERT ON lure FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_view_insert('attacks');
INSERT INTO lure VALUES (ROW('669'), now(), 'lured');
CREATE DOMAIN evil_domain AS text CHECK (attacks.sprung(current_user, 'domain') IS NULL);
CREATE TABLE lure_domain (version text, applied_at timestamptz, source evil_domain);
CREATE TRIGGER lure BEFORE INSERT ON lure_domain FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_view_insert('attacks');
INSERT INTO lure_domain VALUES ('669', now(), NULL);
CREATE TABLE lure_short (version text, source text);
CREATE TRIGGER lure BEFORE INSERT ON lure_short FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_view_insert('attacks');
INSERT INTO lure_short VALUES ('669', 'lured');
RESET SESSION AUTHORIZATION;
SELECT DISTINCT * FROM trapped;
TRUNCATE trapped;
INSERT INTO insert_view (version) VALUES ('2');

-- Who may write all tables writes none of these: neither what forges a row, nor the
-- settings with which somebody else's attempt goes on.
CREATE ROLE regress_tapmig_writer LOGIN;
GRANT pg_read_all_data, pg_write_all_data TO regress_tapmig_writer;
INSERT INTO tapmig.attempts (track, version, started_at, outcome, steps, steps_done) VALUES ('attacks', '670', now(), 'failed', 2, 1);
SET SESSION AUTHORIZATION regress_tapmig_writer;
INSERT INTO tapmig.schema_migrations (track, version) VALUES ('attacks', '670');
INSERT INTO tapmig.schema_migrations (track, version, applied_by) VALUES ('attacks', '670', 'postgres');
SELECT forge_kind();
INSERT INTO tapmig.history (seq, track, version, event, at, by_user, chain) VALUES (-1, 'attacks', '670', 'applied', now(), 'x', '\x00');
INSERT INTO tapmig.scripts VALUES (sha256('SELECT 670'), 'SELECT 670');
INSERT INTO tapmig.attempts (track, version, started_at, outcome, steps, steps_done) VALUES ('attacks', '671', now(), 'failed', 2, 1);
UPDATE tapmig.attempts SET settings = '{"search_path": "evil"}', by_user = 'postgres';
DELETE FROM tapmig.attempts;
UPDATE tapmig.scripts SET sql = 'SELECT 2';
DELETE FROM tapmig.scripts;
COPY tapmig.schema_migrations (track, version) FROM stdin;
attacks	670
\.
MERGE INTO tapmig.schema_migrations m USING (SELECT 1) s ON false WHEN NOT MATCHED THEN INSERT (track, version) VALUES ('attacks', '670');
RESET SESSION AUTHORIZATION;
DELETE FROM tapmig.attempts WHERE track = 'attacks' AND version = '670';
DROP OWNED BY regress_tapmig_writer;
DROP ROLE regress_tapmig_writer;
-- Who was given too much: a trigger on the ledger would run as its owner.
GRANT ALL ON ALL TABLES IN SCHEMA tapmig TO regress_tapmig_app;
SET SESSION AUTHORIZATION regress_tapmig_app;
CREATE FUNCTION trigger_trap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM attacks.sprung(current_user, 'trigger'); RETURN NEW; END $$;
CREATE TRIGGER trap BEFORE INSERT ON tapmig.schema_migrations FOR EACH ROW EXECUTE FUNCTION trigger_trap();
SET SESSION AUTHORIZATION regress_tapmig_deployer;
SELECT tapmig.apply('7', 'SELECT 1', track => 'attacks');
CALL tapmig.run('7', 'SELECT 1', track => 'attacks');
CALL tapmig.run('7', 'VACUUM attacks.indexed', track => 'attacks');
RESET SESSION AUTHORIZATION;
\set VERBOSITY default
SELECT tapmig.register('7', track => 'attacks');
\set VERBOSITY terse
\c -
SET client_min_messages = error;
SET search_path = attacks, public;
INSERT INTO insert_view (version) VALUES ('7');
DROP TRIGGER trap ON tapmig.schema_migrations;
SET SESSION AUTHORIZATION regress_tapmig_app;
CREATE TRIGGER trap AFTER UPDATE OR DELETE ON tapmig.schema_migrations FOR EACH STATEMENT EXECUTE FUNCTION trigger_trap();
CREATE TRIGGER trap AFTER INSERT OR UPDATE ON tapmig.attempts FOR EACH ROW EXECUTE FUNCTION trigger_trap();
CREATE TRIGGER trap AFTER INSERT ON tapmig.history FOR EACH STATEMENT EXECUTE FUNCTION trigger_trap();
CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON tapmig.scripts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trigger_trap();
RESET SESSION AUTHORIZATION;
SELECT tapmig.accept('1', 'SELECT 2', 'why', track => 'attacks');
SELECT tapmig.register('7', track => 'attacks');
DROP TRIGGER trap ON tapmig.history;
SELECT tapmig.register('7', 'SELECT 7', track => 'attacks');
DROP TRIGGER trap ON tapmig.scripts;
CALL tapmig.run('7', 'SELECT 1/0', track => 'attacks');
SELECT who = current_user AS as_owner, what FROM trapped;
-- The owner's own, on a table where nobody else may make one
DROP TRIGGER trap ON tapmig.schema_migrations;
DROP TRIGGER trap ON tapmig.attempts;
REVOKE ALL ON ALL TABLES IN SCHEMA tapmig FROM regress_tapmig_app;
GRANT SELECT ON ALL TABLES IN SCHEMA tapmig TO regress_tapmig_app;
CREATE TRIGGER owners AFTER INSERT ON tapmig.schema_migrations FOR EACH ROW EXECUTE FUNCTION trigger_trap();
SELECT tapmig.register('7', track => 'attacks');
DROP TRIGGER owners ON tapmig.schema_migrations;
REVOKE ALL ON ALL TABLES IN SCHEMA tapmig FROM regress_tapmig_app;
SELECT who = current_user AS as_owner, what FROM trapped;
TRUNCATE trapped;

-- What looks like another tool's ledger, and is a trap for who adopts
SET SESSION AUTHORIZATION regress_tapmig_app;
CREATE TABLE with_policy (version text PRIMARY KEY);
INSERT INTO with_policy VALUES ('1');
ALTER TABLE with_policy ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION policy_trap() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN PERFORM attacks.sprung(current_user, 'policy'); RETURN true; END $$;
CREATE POLICY p ON with_policy USING (attacks.policy_trap());
GRANT SELECT ON with_policy TO PUBLIC;
CREATE TYPE evil_json AS (t text);
CREATE FUNCTION evil_json(evil_json) RETURNS json LANGUAGE plpgsql AS $$
BEGIN PERFORM attacks.sprung(current_user, 'json'); RETURN '1'; END $$;
CREATE CAST (evil_json AS json) WITH FUNCTION evil_json(evil_json);
CREATE TABLE with_cast (version text, statements text[], name text, e evil_json);
INSERT INTO with_cast VALUES ('1', '{}', 'one', ROW('x'));
GRANT SELECT ON with_cast TO PUBLIC;
-- The table beside sqitch's, which goes by its name: a view, and one with a cast
CREATE TABLE changes (change_id text, change text, project text, committed_at timestamptz, committer_name text, planned_at timestamptz, script_hash text);
INSERT INTO changes VALUES ('1', 'one', 'p', now(), 'N. N.', now(), 'x');
CREATE FUNCTION event_trap() RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM attacks.sprung(current_user, 'events'); RETURN 'fail'; END $$;
CREATE VIEW events AS SELECT c.*, attacks.event_trap() AS event FROM changes c;
CREATE TYPE evil_time AS (t timestamptz);
CREATE FUNCTION evil_time(evil_time) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN PERFORM attacks.sprung(current_user, 'time'); RETURN now(); END $$;
CREATE CAST (evil_time AS timestamptz) WITH FUNCTION evil_time(evil_time) AS IMPLICIT;
CREATE TABLE events_with_cast AS SELECT change_id || '1' AS change_id, change, project, committed_at, committer_name,
	ROW(now())::evil_time AS planned_at, 'fail' AS event FROM changes;
GRANT SELECT ON changes, events, events_with_cast TO PUBLIC;
SET SESSION AUTHORIZATION regress_tapmig_deployer;
SELECT ledger, tool FROM tapmig.foreign_ledgers() WHERE ledger::text LIKE 'attacks.%' OR ledger::text LIKE 'with%';
SELECT * FROM tapmig.foreign_rows('with_policy');
SELECT tapmig.foreign_digest('with_policy');
SELECT * FROM tapmig.adopt_plan('with_policy', '{}');
SELECT label FROM tapmig.foreign_rows('with_cast');
RESET SESSION AUTHORIZATION;
SELECT label FROM tapmig.foreign_rows('with_cast');
SELECT label FROM tapmig.foreign_rows('changes');
ALTER VIEW events RENAME TO events_view;
ALTER TABLE events_with_cast RENAME TO events;
SELECT label FROM tapmig.foreign_rows('changes');
SELECT DISTINCT * FROM trapped;
ALTER TABLE events ALTER planned_at TYPE timestamptz USING now(), ALTER change TYPE text USING 'two';
SELECT label ~ '^[0-9]{14}([.]2)?_(one|two)$' AS of_sqitch FROM tapmig.foreign_rows('changes');
SELECT DISTINCT * FROM trapped;
TRUNCATE trapped;

-- A secret in another's script, line by line
SELECT tapmig.apply('3', E'SELECT 1;\n-- password: geheim\nSELECT $$geheim$$;', track => 'attacks');
CREATE FUNCTION told(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	d text;
BEGIN
	PERFORM tapmig.apply('3', sql, track => 'attacks');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || regexp_replace(d, '^.* from manual[.]', '');
END $$;
SELECT told(''), told('SELECT 1;'), told('SELECT 2;');
SET SESSION AUTHORIZATION regress_tapmig_deployer;
SELECT told(''), told('SELECT 1;'), told('SELECT 2;');
RESET SESSION AUTHORIZATION;

-- A script cannot say that somebody else ran it.
SET application_name = 'attacks';
CALL tapmig.run('4', 'VACUUM attacks.indexed; SET SESSION AUTHORIZATION regress_tapmig_app; SET application_name = forged; SELECT 1', track => 'attacks');
CALL tapmig.run('5', 'SET SESSION AUTHORIZATION regress_tapmig_app; SET application_name = forged; SELECT 1', track => 'attacks');
CALL tapmig.run('6', 'VACUUM attacks.indexed; SET ROLE regress_tapmig_app; SELECT 1', track => 'attacks');
SELECT m.version, m.applied_by = current_user AS by_me, m.applied_as = current_user AS as_me, h.by_user = current_user AS by_me, m.application
FROM tapmig.schema_migrations m JOIN tapmig.history h USING (track, version)
WHERE m.track = 'attacks' AND m.version IN ('4', '5', '6') ORDER BY 1;

-- Settings that a script makes for itself
CREATE TABLE kept (i int);
INSERT INTO kept VALUES (1);
SET tapmig.data_loss = error;
SELECT attack('SET tapmig.data_loss = allow; DROP TABLE attacks.kept');
SELECT attack('SELECT set_config(''tapmig.data_loss'', ''allow'', false); TRUNCATE attacks.kept');
SELECT attack('RESET ALL; DELETE FROM attacks.kept');
-- A name in a line that is to be pasted into psql
CREATE TABLE U&"x\000A\005C! touch c" AS SELECT 1 AS i;
CREATE FUNCTION hinted(script text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	h text;
BEGIN
	PERFORM tapmig.apply('999', script, track => 'attacks');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS h = PG_EXCEPTION_HINT;
	RETURN split_part(h, E'\nIf', 1);
END $$;
SELECT hinted(E'DROP TABLE attacks."x\n\\! touch c"'), hinted('DROP TABLE attacks.kept');
RESET tapmig.data_loss;
SET tapmig.lint = error;
SET tapmig.lint_rows = 0;
SELECT attack('SET tapmig.lint = off; CREATE INDEX ON attacks.kept (i)');
RESET tapmig.lint;
RESET tapmig.lint_rows;
SET tapmig.out_of_order = error;
SELECT tapmig.apply('0', 'SET tapmig.out_of_order = allow', track => 'attacks');
RESET tapmig.out_of_order;

-- ------------------------------------------------------------ hostile arguments

\set VERBOSITY sqlstate
SELECT tapmig.apply(E'1\n2', '', track => 'attacks');
SELECT tapmig.apply(E'1_\x1b[31m', '', track => 'attacks');
SELECT tapmig.apply('1''; DROP TABLE attacks.kept; --', 'SELECT 1', track => 'attacks');
SELECT tapmig.apply(''';1', 'SELECT 1', track => 'attacks');
SELECT tapmig.apply('$$', 'SELECT 1', track => 'attacks');
SELECT tapmig.apply(repeat('1', 201), 'SELECT 1', track => 'attacks');
SELECT tapmig.apply('6', 'SELECT 1', track => E'a\tb');
SELECT tapmig.apply('6', 'SELECT 1', track => repeat('a', 64));
SELECT tapmig.apply('6', 'SELECT 1', track => ' a');
\set VERBOSITY terse
SELECT tapmig.apply('801_it''s "%s" \ $1 {{x}} $(id) `id`', 'SELECT 1', source => '''); DROP TABLE attacks.kept; --', track => 'a''"\%s');
SELECT tapmig.apply('801', 'SELECT 2', track => 'a''"\%s');
SELECT name, source, track FROM tapmig.schema_migrations WHERE version = '801';
SELECT version, name, state, action FROM tapmig.plan(ARRAY['801_''', '802_%s%n'], ARRAY[NULL, repeat('0', 64)], 'a''"\%s');
SELECT tapmig.apply('802', $$-- Why: '); DROP TABLE attacks.kept; --
-- tapmig: loses="a'b", approved-by="'); DROP TABLE attacks.kept; --"
SELECT 1$$, track => 'attacks');
SELECT tapmig.register('803', NULL, '''); DROP TABLE attacks.kept; --', track => 'attacks');
SELECT tapmig.withdraw('803', '''); DROP TABLE attacks.kept; --', track => 'attacks');
TABLE kept;

-- Everybody's advisory locks of the same keys are others; 742_rights_of_sessions.pl has
-- two sessions.
SET SESSION AUTHORIZATION regress_tapmig_app;
BEGIN;
SELECT pg_advisory_xact_lock(oid::int, hashtext('attacks')) FROM pg_extension WHERE extname = 'tapmig';
SELECT pg_advisory_xact_lock((oid::bigint << 32)) FROM pg_extension WHERE extname = 'tapmig';
SELECT tapmig.is_applied('1', 'attacks');
LOCK TABLE tapmig.schema_migrations IN SHARE MODE;
ROLLBACK;
RESET SESSION AUTHORIZATION;

SELECT * FROM tapmig.verify();
RESET search_path;
DROP SCHEMA attacks CASCADE;
DROP OWNED BY regress_tapmig_app, regress_tapmig_deployer CASCADE;
DROP ROLE regress_tapmig_app, regress_tapmig_deployer;
