-- A script starts from the session's settings and leaves none behind, whether it
-- succeeds or fails; nor does the rest of tapmig's own state stay.
\set SHOW_CONTEXT always
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'settings_restored';
CREATE ROLE regress_settings SUPERUSER;
CREATE SCHEMA settings_restored;
CREATE TABLE settings_seen (version text, what text, value text);
CREATE FUNCTION settings_see(text) RETURNS void LANGUAGE sql SET search_path = pg_catalog AS $$
	INSERT INTO public.settings_seen SELECT $1, v.* FROM (VALUES
		('work_mem', current_setting('work_mem')), ('statement_timeout', current_setting('statement_timeout')),
		('lock_timeout', current_setting('lock_timeout')), ('my.setting', current_setting('my.setting', true)),
		('TimeZone', current_setting('TimeZone')), ('current_user', current_user::text), ('session_user', session_user::text),
		('standard_conforming_strings', current_setting('standard_conforming_strings')),
		('track', current_setting('tapmig.track')), ('read_only', current_setting('transaction_read_only'))) AS v $$;
CREATE VIEW settings_now AS
SELECT current_setting('work_mem') AS work_mem, current_setting('statement_timeout') AS statement_timeout,
	   current_setting('lock_timeout') AS lock_timeout, current_setting('my.setting', true) AS my_setting,
	   current_setting('search_path') AS search_path, current_setting('TimeZone') AS time_zone,
	   current_setting('role') AS role, session_user = current_user AS same_user,
	   current_setting('standard_conforming_strings') AS strings, current_setting('tapmig.track') AS track,
	   current_setting('transaction_read_only') AS read_only, current_setting('client_encoding') AS client_encoding;

SET work_mem = '5MB';
SET TimeZone = 'UTC';
SET lock_timeout = '7s';
\x
SELECT * FROM public.settings_now;

CREATE FUNCTION pg_temp.script(version text, ending text) RETURNS text LANGUAGE sql AS $f$ SELECT format($$
SET work_mem = '9MB';
SET LOCAL statement_timeout = '1h';
SELECT set_config('my.setting', 'set', false), set_config('TimeZone', 'Asia/Tokyo', true);
SELECT pg_catalog.set_config('search_path', '', false);
SET lock_timeout = '3s';
SET standard_conforming_strings = off;
SET client_encoding = 'LATIN1';
SET tapmig.track = 'another';
SET ROLE regress_settings;
SELECT public.settings_see(%L);
RESET ROLE;
SET SESSION AUTHORIZATION regress_settings;
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
SET TRANSACTION READ ONLY;
%s$$, $1, $2) $f$;

-- On success, under apply and under run.
SELECT tapmig.apply('1', pg_temp.script('1', 'SELECT 1'));
SELECT * FROM public.settings_now;
CALL tapmig.run('2', pg_temp.script('2', 'SELECT 1'));
SELECT * FROM public.settings_now;
BEGIN;
SET LOCAL work_mem = '6MB';
SELECT tapmig.apply('3', pg_temp.script('3', 'RESET ALL'));
SELECT * FROM public.settings_now;
COMMIT;
SELECT * FROM public.settings_now;

-- After an error, in a transaction of its own and within a savepoint of the caller.
SELECT tapmig.apply('4', pg_temp.script('4', 'SELECT 1 / 0'));
SELECT * FROM public.settings_now;
CALL tapmig.run('4', pg_temp.script('4', 'SELECT 1 / 0'));
SELECT * FROM public.settings_now;
BEGIN;
SET LOCAL work_mem = '6MB';
SAVEPOINT s;
SELECT tapmig.apply('4', pg_temp.script('4', 'SELECT 1 / 0'));
ROLLBACK TO s;
SELECT * FROM public.settings_now;
-- and the session is not stuck "in a script"
SELECT tapmig.apply('5', pg_temp.script('5', ''));
SELECT * FROM public.settings_now;
COMMIT;
DO $$ BEGIN
	PERFORM tapmig.apply('6', 'SET work_mem = ''9MB''; SELECT 1 / 0');
EXCEPTION WHEN division_by_zero THEN
	RAISE NOTICE 'work_mem %, then %', current_setting('work_mem'), tapmig.apply('6', 'SET work_mem = ''9MB''; SELECT 2');
END $$;
\x
SELECT DISTINCT what, value FROM settings_seen WHERE what <> 'session_user' ORDER BY what, value;
SELECT version, applied_by = current_user AS applied_by, applied_as = current_user AS applied_as, track
  FROM tapmig.schema_migrations WHERE track IN ('settings_restored', 'another') ORDER BY version;

-- lock_timeout is tapmig.lock_timeout while a script runs; its own SET wins, and
-- so does the directive.
TRUNCATE settings_seen;
SELECT tapmig.apply('10', 'SELECT settings_see(''10: tapmig'')');
SET tapmig.lock_timeout = '11s';
SELECT tapmig.apply('11', 'SELECT settings_see(''11: tapmig, set''); RESET lock_timeout; SELECT settings_see(''11: reset'')');
SELECT tapmig.apply('12', E'-- tapmig: lock_timeout=13s\nSELECT settings_see(''12: directive'')');
SELECT tapmig.apply('13', E'-- tapmig: lock_timeout=0\nSELECT settings_see(''13: directive 0'')');
SET tapmig.lock_timeout = 0;
SELECT tapmig.apply('14', 'SELECT settings_see(''14: the session'')');
RESET tapmig.lock_timeout;
SELECT version, value FROM settings_seen WHERE what = 'lock_timeout' ORDER BY version;
SHOW lock_timeout;

-- What else a script may not do from inside: another migration, tapmig's end.
SELECT tapmig.apply('20', E'SELECT 1;\nSELECT tapmig.apply(''21'', ''SELECT 1'');');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('20', E'SELECT 1;\nCALL tapmig.run(''21'', ''SELECT 1'');');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('20', E'SELECT 1;\nDO $$ BEGIN PERFORM tapmig.register(''21''); END $$;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('20', E'SELECT 1;\nSELECT tapmig.withdraw(''1'', ''why'');');
SELECT tapmig.apply('20', E'SELECT 1;\nSELECT tapmig.accept(''1'', '''', ''why'');');
SELECT tapmig.apply('20', E'SELECT 1;\nINSERT INTO tapmig.schema_migrations (version) VALUES (''21'');');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('20', E'SELECT 1;\nCOPY tapmig.schema_migrations (version) FROM stdin;\n21\n\\.\n');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('20', E'SELECT 1;\nDROP EXTENSION tapmig;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('20', E'SELECT 1;\nDROP EXTENSION IF EXISTS plpgsql, tapmig CASCADE;');
SELECT tapmig.apply('20', E'SELECT 1;\nDO $$ BEGIN EXECUTE ''DROP EXTENSION tapmig CASCADE''; END $$;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('20', E'SELECT 1;\nDROP SCHEMA tapmig CASCADE;');
CALL tapmig.run('20', E'SELECT 1;\nDROP EXTENSION tapmig;');
\echo :LAST_ERROR_SQLSTATE
-- and reading it may
SELECT tapmig.apply('22', E'DO $$ BEGIN ASSERT tapmig.is_applied(''1''), ''1 is not applied''; PERFORM tapmig.require(''1''); END $$;\nSELECT * FROM tapmig.statements(''SELECT 1'');');

-- What the session shows of a script that runs.
SELECT tapmig.apply('30_activity', $$SELECT 1;
CREATE TABLE settings_activity AS SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid();
SELECT 3$$);
TABLE settings_activity;
SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid();
DROP TABLE settings_activity;
-- So it is where an error of a script is caught.
DO $$ BEGIN
	BEGIN
		PERFORM tapmig.apply('32', 'SELECT 1/0');
	EXCEPTION WHEN division_by_zero THEN
		RAISE NOTICE '%', (SELECT left(query, 8) FROM pg_stat_activity WHERE pid = pg_backend_pid());
	END;
END $$;
-- The longest name is cut nowhere, least of all within a character.
SELECT tapmig.apply('31_' || repeat('漢', 197), 'CREATE TABLE settings_activity AS SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()');
SELECT replace(query, repeat('漢', 197), '...') AS query FROM settings_activity;
DROP TABLE settings_activity;

-- Temporary tables and other objects of the session stay.
SELECT tapmig.apply('40_temp', 'CREATE TEMP TABLE settings_temp AS SELECT 1 AS i; PREPARE settings_p AS SELECT 2 AS i; DECLARE settings_c CURSOR WITH HOLD FOR SELECT 3 AS i;');
TABLE settings_temp;
EXECUTE settings_p;
FETCH settings_c;
CLOSE settings_c;
DEALLOCATE settings_p;
DROP TABLE settings_temp;

DROP VIEW settings_now;
DROP TABLE settings_seen;
DROP FUNCTION settings_see(text);
DROP SCHEMA settings_restored;
DROP ROLE regress_settings;

-- RESET goes back to what tapmig has set for the script, and outside of it to what it did before.
\pset format unaligned
\pset tuples_only
SET tapmig.track = 'settings_reset';
SET lock_timeout = '7s';
CREATE TABLE reset_seen (what text, lock_timeout text DEFAULT current_setting('lock_timeout'));
CREATE FUNCTION pg_temp.reset(what text, reset text) RETURNS text LANGUAGE sql AS $$
	SELECT format(E'SET lock_timeout = ''3s'';\n%s;\nINSERT INTO public.reset_seen VALUES (%L);\n', reset, what) $$;
SELECT tapmig.apply('1', pg_temp.reset('RESET', 'RESET lock_timeout'));
SELECT tapmig.apply('2', pg_temp.reset('SET TO DEFAULT', 'SET lock_timeout TO DEFAULT'));
SELECT tapmig.apply('3', pg_temp.reset('SET LOCAL TO DEFAULT', 'SET LOCAL lock_timeout TO DEFAULT'));
SELECT tapmig.apply('4', pg_temp.reset('set_config', 'SELECT set_config(''lock_timeout'', NULL, false)'));
SELECT tapmig.apply('5', pg_temp.reset('RESET in a block', 'DO $d$BEGIN EXECUTE ''RESET ALL''; END$d$'));
CALL tapmig.run('6', pg_temp.reset('RESET ALL under run', 'RESET ALL'));
CALL tapmig.run('7', E'-- tapmig: lock_timeout=8s\n' || pg_temp.reset('the directive', 'RESET lock_timeout'));
SELECT tapmig.apply('8', pg_temp.reset('RESET, then its own', 'RESET ALL; SET lock_timeout = ''4s'''));
BEGIN;
SET LOCAL tapmig.lock_timeout = 0;
SELECT tapmig.apply('9', pg_temp.reset('tapmig sets none', 'RESET lock_timeout'));
COMMIT;
SELECT count(*) FROM tapmig.rehearse('CREATE TABLE r AS SELECT 1; RESET lock_timeout; DO $$BEGIN RAISE NOTICE ''rehearsed: %'', current_setting(''lock_timeout''); END$$');
SELECT * FROM reset_seen ORDER BY ctid;
SHOW lock_timeout;
SELECT reset_val FROM pg_settings WHERE name = 'lock_timeout';
\set VERBOSITY terse
SELECT tapmig.apply('10', pg_temp.reset('an error', 'RESET lock_timeout; SELECT 1 / 0'));
SELECT tapmig.rehearse(pg_temp.reset('an error', 'RESET lock_timeout; SELECT 1 / 0'));
DO $$BEGIN PERFORM tapmig.apply('10', 'SELECT 1 / 0'); EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'caught: %', current_setting('lock_timeout'); END$$;
SELECT setting, reset_val FROM pg_settings WHERE name = 'lock_timeout';
RESET lock_timeout;
SHOW lock_timeout;
DROP TABLE reset_seen;
