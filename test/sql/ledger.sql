--
-- The ledger: rows, events, by-hand changes, verify(), rights
--
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;

-- A ledger of its own.  The session has plans of the one before.  No default
-- privilege opens it.
CREATE ROLE regress_ledger_deployer;
SELECT tapmig.register('1', track => 'gone');
DROP EXTENSION tapmig;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO regress_ledger_deployer;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_ledger_deployer WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_ledger_deployer;
ALTER DEFAULT PRIVILEGES GRANT ALL ON ROUTINES TO regress_ledger_deployer;
CREATE EXTENSION tapmig;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM regress_ledger_deployer;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM regress_ledger_deployer;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM regress_ledger_deployer;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON ROUTINES FROM regress_ledger_deployer;

CREATE FUNCTION sum256(text) RETURNS text LANGUAGE sql AS
$$ SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') $$;

--
-- What is recorded
--
SELECT tapmig.apply('001_first', E'-- Why: because\n-- tapmig: lock_timeout=2s\nCREATE TABLE ledger_a (i int);', 'dir/001_first.sql@abc');
SELECT tapmig.apply('001', E'-- Why: because\n-- tapmig: lock_timeout=2s\nCREATE TABLE ledger_a (i int);');
SELECT tapmig.apply('001', E'CREATE   TABLE ledger_a (i int);');
SELECT tapmig.register('003_third', 'SELECT 3', applied_at => '2020-02-03 04:05:06+00');
SELECT tapmig.register('004');

SELECT track, version, name, kind, source, why, directives, out_of_order,
       applied_at = '2020-02-03 04:05:06+00' AS given_time,
       encode(checksum, 'hex') = sum256(CASE version WHEN '003' THEN 'SELECT 3' ELSE E'-- Why: because\n-- tapmig: lock_timeout=2s\nCREATE TABLE ledger_a (i int);' END) AS checksum_is_right,
       cardinality(also) AS also, octet_length(fingerprint) AS fingerprint,
       statements, elapsed > '0' AS elapsed,
       applied_by = session_user AS applied_by, applied_as = current_user AS applied_as,
       application
  FROM tapmig.schema_migrations ORDER BY version \gx
SELECT sql FROM tapmig.scripts ORDER BY sql;

-- current_user and session_user are the caller's, not the owner's.
GRANT EXECUTE ON FUNCTION tapmig.register TO regress_ledger_deployer;
SET ROLE regress_ledger_deployer;
SELECT tapmig.register('005');
RESET ROLE;
SELECT applied_by = session_user AS applied_by, applied_as FROM tapmig.schema_migrations WHERE version = '005';

-- Corrections
SELECT tapmig.accept('003_renamed', 'SELECT 33', 'a typo');
SELECT tapmig.accept('001', 'CREATE TABLE ledger_a (i bigint);', 'really');
SELECT tapmig.withdraw('5', 'a mistake');
SELECT version, name, encode(checksum, 'hex') = sum256('SELECT 33') AS is_new, also
  FROM tapmig.schema_migrations ORDER BY version;
SELECT seq, track, version, event, source, reason, by_user = session_user AS by_user,
       octet_length(chain) AS chain, octet_length(state) AS state
  FROM tapmig.history ORDER BY seq;
SELECT * FROM tapmig.verify();

-- The digests, computed by other means from the description in ledger_chain.c
CREATE FUNCTION canonical(VARIADIC fields bytea[]) RETURNS bytea LANGUAGE sql AS
$$ SELECT sha256(string_agg(CASE WHEN f IS NULL THEN '-' ELSE convert_to(octet_length(f) || ':', 'UTF8') || f END, '' ORDER BY n))
     FROM unnest(fields) WITH ORDINALITY AS u (f, n) $$;
CREATE FUNCTION canonical(anyelement) RETURNS bytea LANGUAGE sql AS
$$ SELECT convert_to($1::text, 'UTF8') $$;
CREATE FUNCTION canonical(timestamptz) RETURNS bytea LANGUAGE sql AS
$$ SELECT canonical(((extract(epoch FROM $1) - 946684800) * 1000000)::bigint) $$;
SELECT seq, chain = canonical(VARIADIC ARRAY['tapmig history 1', canonical(seq), canonical(track), canonical(version),
         canonical(event), canonical(at), canonical(by_user), canonical(source), canonical(reason),
         checksum, fingerprint, state, lag(chain) OVER (PARTITION BY track ORDER BY seq)]) AS same
  FROM tapmig.history ORDER BY seq;
SELECT m.version, h.state = canonical(VARIADIC ARRAY['tapmig ledger 1', canonical(m.track), canonical(m.version), canonical(m.name),
         canonical(m.applied_at), canonical(m.source), canonical(m.kind), canonical(m.why), m.checksum,
         (SELECT string_agg(convert_to(octet_length(a) || ':', 'UTF8') || a, '' ORDER BY n) FROM unnest(m.also) WITH ORDINALITY AS u (a, n)),
         m.fingerprint,
         canonical(m.statements),
         canonical('0,0,' || (extract(epoch FROM m.elapsed) * 1000000)::bigint),
         canonical(m.applied_by), canonical(m.applied_as), canonical(m.application),
         canonical(left(m.out_of_order::text, 1)), canonical(m.directives)]) AS same
  FROM tapmig.schema_migrations m
  CROSS JOIN LATERAL (SELECT state FROM tapmig.history h WHERE h.track = m.track AND h.version = m.version ORDER BY seq DESC LIMIT 1) h
 ORDER BY m.version;
DROP FUNCTION canonical(bytea[]), canonical(anyelement), canonical(timestamptz);

--
-- By hand
--
INSERT INTO tapmig.schema_migrations (version) VALUES ('007_by_hand');
INSERT INTO tapmig.schema_migrations (version, source, name) VALUES ('006', 'a ticket', 'named');
INSERT INTO tapmig.schema_migrations (version) VALUES ('7');
INSERT INTO tapmig.schema_migrations (version) VALUES ('7') ON CONFLICT DO NOTHING;
INSERT INTO tapmig.schema_migrations (version) VALUES ('36'), ('036') ON CONFLICT DO NOTHING;
INSERT INTO tapmig.schema_migrations (version) VALUES ('nonsense');
INSERT INTO tapmig.schema_migrations (version) VALUES (NULL);
INSERT INTO tapmig.schema_migrations (version, track) VALUES ('1', ' blank');
INSERT INTO tapmig.schema_migrations (version, track) VALUES ('1', 'given');
SET tapmig.track = 'setting';
INSERT INTO tapmig.schema_migrations (version) VALUES ('1');
RESET tapmig.track;
SELECT track, version, name, kind, source, out_of_order, statements,
       applied_at > now() - interval '1 hour' AS now,
       applied_by = session_user AS applied_by, applied_as = current_user AS applied_as
  FROM tapmig.schema_migrations WHERE kind = 'registered' AND version NOT IN ('003', '004')
 ORDER BY track, version;
SELECT track, version, event, source FROM tapmig.history WHERE seq > 8 ORDER BY seq;
SELECT * FROM tapmig.verify();

-- Rows that bring their kind, as pg_restore's do, are taken as they are.
BEGIN;
INSERT INTO tapmig.schema_migrations (track, version, kind, applied_at, source, applied_by, applied_as, out_of_order)
  VALUES ('main', '099', 'applied', now(), 'restored', 'x', 'x', false);
SELECT count(*) FROM tapmig.history WHERE version = '099';
SELECT * FROM tapmig.verify();
ROLLBACK;

-- Everything else is refused, also for a replica role, also where no row is met.
\set VERBOSITY default
UPDATE tapmig.schema_migrations SET name = 'x';
\set VERBOSITY terse
UPDATE tapmig.schema_migrations SET name = 'x' WHERE false;
DELETE FROM tapmig.schema_migrations;
TRUNCATE tapmig.schema_migrations;
INSERT INTO tapmig.schema_migrations (version) VALUES ('7') ON CONFLICT (track, version) DO UPDATE SET name = 'x';
UPDATE tapmig.history SET reason = 'x';
DELETE FROM tapmig.history;
TRUNCATE tapmig.history;
TRUNCATE tapmig.scripts;
TRUNCATE tapmig.attempts;
INSERT INTO tapmig.history (seq, track, version, event, at, by_user) VALUES (999, 'main', '1', 'applied', now(), 'x');
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM tapmig.history;
ROLLBACK;
\set VERBOSITY sqlstate
DELETE FROM tapmig.history;
SELECT tapmig.apply('050', 'INSERT INTO tapmig.schema_migrations (version) VALUES (''051'');');
SELECT tapmig.apply('050', 'INSERT INTO tapmig.history SELECT * FROM tapmig.history;');
SELECT tapmig.apply('050', 'DELETE FROM tapmig.scripts;');
SELECT tapmig.apply('050', 'DELETE FROM tapmig.history;');
\set VERBOSITY terse

-- A sequence that was set back is noticed.
SELECT setval('tapmig.history_seq', 1, false);
SELECT tapmig.register('037');
SELECT tapmig.register('1', track => 'late');
SELECT seq > 10 AS further FROM tapmig.history WHERE track = 'late' OR version = '037';
SELECT * FROM tapmig.verify();

--
-- Reads run as the owner, whatever the caller's search_path holds
--
CREATE SCHEMA ledger_evil;
CREATE FUNCTION ledger_evil.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'caught'; END $$;
CREATE OPERATOR ledger_evil.= (FUNCTION = ledger_evil.eq, LEFTARG = text, RIGHTARG = text);
SET search_path = ledger_evil, pg_catalog;
SELECT tapmig.is_applied('001'), tapmig.is_applied('999');
SELECT tapmig.register('038');
SELECT current_setting('search_path');
RESET search_path;

SET ROLE regress_ledger_deployer;
SELECT count(*) > 0 AS readable FROM tapmig.schema_migrations;
SELECT tapmig.is_applied('001');
SELECT tapmig.require('001');
SELECT tapmig.version_key('1.10') > tapmig.version_key('1.9') COLLATE "C" AS ordered;
SELECT count(*) FROM tapmig.history;
SELECT count(*) FROM tapmig.scripts;
SELECT count(*) FROM tapmig.attempts;
SELECT tapmig.apply('900', 'SELECT 1');
CALL tapmig.run('900', 'SELECT 1');
SELECT * FROM tapmig.statements('SELECT 1');
SELECT tapmig.accept('001', 'SELECT 1', 'x');
SELECT tapmig.withdraw('004', 'x');
SELECT * FROM tapmig.plan('{001}');
SELECT * FROM tapmig.verify();
INSERT INTO tapmig.schema_migrations (version) VALUES ('900');
SELECT nextval('tapmig.history_seq');
CREATE TABLE tapmig.x ();
CREATE TABLE pg_temp.x (i int);
CREATE TRIGGER x BEFORE INSERT ON pg_temp.x FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_insert();
DROP TABLE pg_temp.x;
RESET ROLE;
GRANT pg_monitor TO regress_ledger_deployer;
SET ROLE regress_ledger_deployer;
SELECT count(*) > 0 AS readable FROM tapmig.history;
SELECT count(*) > 0 AS readable FROM tapmig.scripts;
SELECT * FROM tapmig.verify();
RESET ROLE;
DROP SCHEMA ledger_evil CASCADE;

--
-- An apply reads a few rows, however long the ledger has grown since the
-- session's first
--
\c -
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
BEGIN;
SELECT tapmig.apply('1', 'SELECT 1', track => 'long');
SELECT count(tapmig.register(g::text, track => 'long')) FROM generate_series(2, 2000) g;
CREATE TEMP TABLE reads AS
  SELECT sum(coalesce(idx_tup_fetch, 0) + seq_tup_read) AS n FROM pg_stat_xact_all_tables WHERE schemaname = 'tapmig';
SELECT tapmig.apply('3000', 'SELECT 1', track => 'long');
SELECT tapmig.apply('3000', 'SELECT 1', track => 'long');
SELECT tapmig.is_applied('17', 'long');
SELECT CASE WHEN sum(coalesce(idx_tup_fetch, 0) + seq_tup_read) - (SELECT n FROM reads) < 50 THEN 'few'
            ELSE 'many: ' || sum(coalesce(idx_tup_fetch, 0) + seq_tup_read) - (SELECT n FROM reads) END AS reads
  FROM pg_stat_xact_all_tables WHERE schemaname = 'tapmig';
ROLLBACK;

--
-- verify() finds what was done past the triggers
--
SELECT tapmig.apply('040', 'SELECT 40');
SELECT encode(chain, 'hex') AS early FROM tapmig.history WHERE seq = 3 \gset
SELECT encode(chain, 'hex') AS head FROM tapmig.history WHERE track = 'main' ORDER BY seq DESC LIMIT 1 \gset
SELECT * FROM tapmig.verify(decode(:'head', 'hex'));
SELECT * FROM tapmig.verify(decode(:'early', 'hex'));
SELECT * FROM tapmig.verify('\x00');

CREATE VIEW damage AS SELECT * FROM tapmig.verify() WHERE problem !~ '^trigger ';
ALTER TABLE tapmig.history DISABLE TRIGGER ALL;
ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER ALL;
-- an event that was edited
BEGIN;
UPDATE tapmig.history SET by_user = 'somebody' WHERE seq = 4;
SELECT * FROM damage;
ROLLBACK;
BEGIN;
UPDATE tapmig.history SET reason = 'nicer' WHERE seq = 6;
SELECT * FROM damage;
ROLLBACK;
BEGIN;
UPDATE tapmig.history SET chain = sha256('x') WHERE seq = 4;
SELECT * FROM damage;
ROLLBACK;
BEGIN;
UPDATE tapmig.history SET chain = NULL WHERE seq = 4;
SELECT * FROM damage;
ROLLBACK;
-- removed: the first, one in the middle, the whole
BEGIN;
DELETE FROM tapmig.history WHERE seq = 1;
SELECT * FROM damage;
ROLLBACK;
BEGIN;
DELETE FROM tapmig.history WHERE event = 'withdrawn';
SELECT * FROM damage;
ROLLBACK;
BEGIN;
DELETE FROM tapmig.history WHERE track = 'given';
SELECT * FROM damage;
ROLLBACK;
-- forged
BEGIN;
INSERT INTO tapmig.history (seq, track, version, event, at, by_user, chain)
  VALUES (5000, 'main', '041', 'applied', now(), 'x', sha256('x'));
SELECT * FROM damage;
ROLLBACK;
-- moved to another track
BEGIN;
UPDATE tapmig.history SET track = 'new' WHERE seq = 3;
UPDATE tapmig.schema_migrations SET track = 'new' WHERE version = '003';
SELECT * FROM damage;
ROLLBACK;
-- the tail cut, with the ledger's row: only a head that is kept elsewhere tells
BEGIN;
DELETE FROM tapmig.history WHERE version = '040';
DELETE FROM tapmig.schema_migrations WHERE version = '040';
SELECT * FROM damage;
SELECT problem = 'the history does not contain the head ' || :'head' AS cut FROM tapmig.verify(decode(:'head', 'hex')) WHERE problem !~ '^trigger ';
ROLLBACK;
-- the ledger: edited, removed, added
BEGIN;
UPDATE tapmig.schema_migrations SET checksum = sha256('x') WHERE version = '040';
SELECT track, version, problem FROM damage;
ROLLBACK;
BEGIN;
UPDATE tapmig.schema_migrations SET applied_by = 'somebody' WHERE version = '007';
SELECT track, version, problem FROM damage;
ROLLBACK;
BEGIN;
DELETE FROM tapmig.schema_migrations WHERE version = '007';
SELECT track, version, problem FROM damage;
ROLLBACK;
BEGIN;
INSERT INTO tapmig.schema_migrations (track, version, kind, applied_at, source, applied_by, applied_as, out_of_order)
  SELECT t, '005', 'applied', now(), 'x', 'x', 'x', false FROM unnest('{aaa,main,zzz}'::text[]) t;
SELECT track, version, problem FROM damage;
ROLLBACK;
-- removed, and applied a second time
BEGIN;
DELETE FROM tapmig.schema_migrations WHERE version = '040';
SELECT tapmig.apply('040', 'SELECT 40');
SELECT track, version, problem, seq = (SELECT max(seq) FROM tapmig.history) AS second FROM damage;
ROLLBACK;
-- a script's text
BEGIN;
UPDATE tapmig.scripts SET sql = 'SELECT 41' WHERE sql = 'SELECT 40';
SELECT track, version, problem = format('the script that is kept under checksum %s has another one', sum256('SELECT 40')) AS found FROM damage;
ROLLBACK;
ALTER TABLE tapmig.history ENABLE ALWAYS TRIGGER insert_row;
ALTER TABLE tapmig.history ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE tapmig.history ENABLE ALWAYS TRIGGER refuse_statement;
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER insert_row;
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER refuse_statement;
SELECT * FROM tapmig.verify();
DROP VIEW damage;

--
-- and the triggers themselves: as a restore of data only leaves them, switched off, replaced, removed
--
BEGIN;
ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER ALL;
ALTER TABLE tapmig.schema_migrations ENABLE TRIGGER ALL;
ALTER TABLE tapmig.history DISABLE TRIGGER refuse_row;
ALTER TABLE tapmig.scripts ENABLE REPLICA TRIGGER insert_row;
CREATE OR REPLACE TRIGGER refuse_statement BEFORE TRUNCATE ON tapmig.scripts
  FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION tapmig.trigger_refuse();
ALTER TABLE tapmig.scripts ENABLE ALWAYS TRIGGER refuse_statement;
DROP TRIGGER refuse_row ON tapmig.attempts;
ALTER TABLE tapmig.attempts DISABLE TRIGGER insert_row;
SELECT problem FROM tapmig.verify();
SELECT count(*) AS with_a_track FROM tapmig.verify() WHERE track IS NOT NULL OR seq IS NOT NULL OR version IS NOT NULL;
SELECT DISTINCT ledger_ok FROM tapmig.health;
-- what each says to run mends it
SELECT split_part(problem, ': ', 2) AS commands FROM tapmig.verify() \gexec
SELECT * FROM tapmig.verify();
-- Whatever the caller's settings say of how the server writes a definition.
SET quote_all_identifiers = on;
SELECT * FROM tapmig.verify();
SHOW quote_all_identifiers;
RESET quote_all_identifiers;
SELECT DISTINCT ledger_ok FROM tapmig.health;
ROLLBACK;
-- each of the twelve is looked at
BEGIN;
ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER ALL;
ALTER TABLE tapmig.history DISABLE TRIGGER ALL;
ALTER TABLE tapmig.scripts DISABLE TRIGGER ALL;
ALTER TABLE tapmig.attempts DISABLE TRIGGER ALL;
SELECT count(*) AS found, (SELECT count(*) FROM pg_trigger WHERE tgfoid::regproc::text LIKE 'tapmig.trigger%') AS there FROM tapmig.verify();
ROLLBACK;
SELECT * FROM tapmig.verify();

DROP TABLE ledger_a;
DROP FUNCTION sum256(text);
DROP OWNED BY regress_ledger_deployer;
DROP ROLE regress_ledger_deployer;
DROP EXTENSION tapmig;
CREATE EXTENSION tapmig;

--
-- A row goes into the tables directly, but for what their owner added to them.
--
\c -
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE TABLE seen (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.seen VALUES (tg_table_name || ' ' || tg_level); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT ON tapmig.schema_migrations FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note AFTER INSERT ON tapmig.history FOR EACH STATEMENT EXECUTE FUNCTION note();
SELECT tapmig.apply('1', 'SELECT 1', track => 'plain');
SELECT * FROM seen ORDER BY what;
DROP TRIGGER note ON tapmig.schema_migrations;
DROP TRIGGER note ON tapmig.history;
DROP FUNCTION note();
DROP TABLE seen;
CREATE FUNCTION where_called(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RAISE NOTICE '% called with search_path %', $1, current_setting('search_path'); RETURN $1; END $$;
SET client_min_messages = warning;
CREATE INDEX ours ON tapmig.schema_migrations (where_called(version)) WHERE track = 'plain';
RESET client_min_messages;
SET search_path = pg_catalog, public;
SELECT tapmig.apply('1.5', 'SELECT 1', track => 'plain');
RESET search_path;
DROP INDEX tapmig.ours;
DROP FUNCTION where_called(text);
ALTER TABLE tapmig.schema_migrations ADD CONSTRAINT ours CHECK (version <> '2');
SELECT tapmig.apply('2', 'SELECT 1', track => 'plain');
SELECT tapmig.apply('3', 'SELECT 1', track => 'plain');
ALTER TABLE tapmig.schema_migrations DROP CONSTRAINT ours;
ALTER INDEX tapmig.schema_migrations_key RENAME TO gone;
SELECT tapmig.apply('4', 'SELECT 1', track => 'plain');
ALTER INDEX tapmig.gone RENAME TO schema_migrations_key;
SELECT tapmig.apply('4', 'SELECT 1', track => 'plain');
-- The newest event far behind others' numbers, and a sequence that was set back
SELECT count(tapmig.register(g::text, track => 'long2')) FROM generate_series(1, 40) g;
SELECT tapmig.apply('5', 'SELECT 1', track => 'plain');
SELECT setval('tapmig.history_seq', 1) AS set_back;
SELECT tapmig.apply('6', 'SELECT 1', track => 'plain');
SELECT count(*) AS problems FROM tapmig.verify();
-- or to its end: the numbers go on
SELECT setval('tapmig.history_seq', (SELECT seqmax FROM pg_sequence WHERE seqrelid = 'tapmig.history_seq'::regclass)) > 0 AS at_its_end;
SELECT tapmig.apply('7', 'SELECT 1', track => 'plain');
SELECT tapmig.register('8', track => 'new in history');
SELECT setval('tapmig.history_seq', (SELECT seqmax FROM pg_sequence WHERE seqrelid = 'tapmig.history_seq'::regclass) - 1) > 0 AS before_it;
SELECT count(tapmig.register(g::text, track => 'plain')) FROM generate_series(8, 11) g;
SELECT tapmig.register('9', track => 'new in history');
SELECT seq = (SELECT seqmax FROM pg_sequence WHERE seqrelid = 'tapmig.history_seq'::regclass) + 3 AS behind_it FROM tapmig.history WHERE track = 'plain' ORDER BY seq DESC LIMIT 1;
SELECT count(*) AS problems FROM tapmig.verify();
