-- Errors in a script: its line and column, the statement, PostgreSQL's own code,
-- detail and hint, tapmig's next action; never the whole script.
\set SHOW_CONTEXT always
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'script_errors';

--
-- Syntax: found before anything runs
--
SELECT tapmig.apply('1_syntax', $script$-- head
CREATE TABLE script_errors_1 (i int);

CREATE TABLE script_errors_2 (
	i int,
	j itn nott null
);
$script$);
\echo :LAST_ERROR_SQLSTATE
SELECT to_regclass('script_errors_1') IS NULL AS nothing_ran;

-- characters before the error count, not bytes
SELECT tapmig.apply('1_syntax', 'SELECT 1; /* Größe Ærø 漢字 */ SELECT ''é'' FORM x');
SELECT tapmig.apply('1_syntax', E'SELECT\r\n\r\n  1 +* FROM;\r\n');
-- behind a byte order mark
SELECT tapmig.apply('1_syntax', E'\uFEFFSELECT FROM FROM;');
-- at the end of the script
SELECT tapmig.apply('1_syntax', E'SELECT 1;\nSELECT (1');
SELECT tapmig.apply('1_syntax', E'SELECT 1;\nCREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;\nSELECT 2;\n');
-- an unbalanced parenthesis takes all that follows with it
SELECT tapmig.apply('1_syntax', E'SELECT 1;\nSELECT (1;\nSELECT 2;\n');
SELECT tapmig.apply('1_syntax', E'SELECT 1;\nSELECT 1);\nSELECT 2;\n');
-- psql's variables
SELECT tapmig.apply('1_syntax', E'SELECT 1;\nGRANT SELECT ON t TO :role;');
SELECT tapmig.apply('1_syntax', E'SELECT 1;\nSELECT :\'name\';');
SELECT tapmig.apply('1_syntax', E'SELECT 1;\nSELECT :"name";');
\echo :LAST_ERROR_SQLSTATE

--
-- Text without an end
--
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT\n  ''abc;\nSELECT 2;\n');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT "abc;\nSELECT 2;\n');
SELECT tapmig.apply('2_open', E'SELECT 1;\nDO $body$ BEGIN NULL; END $bod$;\nSELECT 2;\n');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT /* a /* b */ 2;\n');
SELECT tapmig.apply('2_open', E'SELECT 1;\n/* a /* b */ SELECT 2;\n');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT E''abc\\');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT B''01');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT X''01');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT U&''01');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT ""');
\echo :LAST_ERROR_SQLSTATE
-- escapes
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT E''\\u00zz'';');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT ''a'',\n  E''\\xff'';');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT U&''\\00zz'';');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT U&''\\d83d'';');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT E''\\ud83d'';');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT U&''a'' UESCAPE ''+'';');
SELECT tapmig.apply('2_open', E'SELECT 1;\nSELECT 1 AS a$b, $1x;');
-- of a large script only a little is shown
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.size_of_error(script text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text; detail text; hint text; context text;
BEGIN
	PERFORM tapmig.apply('2_open', script);
	RAISE 'no error' USING ERRCODE = 'ZZ002';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	IF length(message || detail || hint) > 1200 THEN
		RETURN format('too long: %s %s %s', length(message), length(detail), length(hint));
	END IF;
	RETURN CASE WHEN length(context) > 800 THEN 'context of ' || length(context) ELSE SQLSTATE END;
END $$;
SELECT s AS script, pg_temp.size_of_error(replace(s, '%', repeat('abc ', 250000)))
  FROM (VALUES ('SELECT ''%'), ('SELECT "%'), ('SELECT $a$%'), ('/* %'), ('SELECT E''%'), ('SELECT "%" FORM x y'),
	('SELECT ''%'' FORM x y'), ('% ('), ('SELECT ''%'' || 1 / 0'), ('SELECT ''%''::int'),
	('DO $$ BEGIN RAISE ''%''; END $$'), ('\%'), ('\set %'), ('\copy % from x'), ('COPY t FROM stdin;' || E'\n%'),
	('-- tapmig: %'), ('-- tapmig: requires=%'), ('-- tapmig: lock_timeout=%'), ('CREATE TABLE nowhere."%" ()')) AS v (s);
SELECT s AS script, pg_temp.size_of_error(replace(s, '%', repeat('abc_', 250000)))
  FROM (VALUES ('%;'), ('SELECT %'), ('SELECT "%" FROM'), ('\%'), ('SELECT 1 %%'), ('CREATE TABLE nowhere.% ()')) AS v (s);
RESET client_min_messages;

--
-- Run time
--
SELECT tapmig.apply('3_run', $script$CREATE TABLE script_errors_1 (i int PRIMARY KEY);

INSERT INTO script_errors_1
SELECT 1
  FROM nowhere;
$script$);
SELECT tapmig.apply('3_run', E'SELECT 1;\n\nSELECT ''Größe'', 1 / 0;');
SELECT tapmig.apply('3_run', $script$
CREATE TABLE script_errors_1 (i int PRIMARY KEY);
INSERT INTO script_errors_1 VALUES (1);
INSERT INTO script_errors_1 VALUES (1);
$script$);
\echo :LAST_ERROR_SQLSTATE
-- in a function's body when it is made, and when it runs
SELECT tapmig.apply('3_run', $script$SELECT 1;
CREATE FUNCTION script_errors_f() RETURNS int LANGUAGE sql AS $$
	SELECT 1;
	SELECT itn FROM nowhere
$$;
$script$);
SELECT tapmig.apply('3_run', $script$SELECT 1;
CREATE FUNCTION script_errors_f() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RETRUN 1;
END $$;
$script$);
SELECT tapmig.apply('3_run', $script$SELECT 1;
CREATE FUNCTION script_errors_f() RETURNS int LANGUAGE sql BEGIN ATOMIC
	SELECT 1;
	SELECT itn;
END;
$script$);
SELECT tapmig.apply('3_run', $script$SELECT 1;

DO $$
BEGIN
	PERFORM 1;
	PERFORM 1 / 0;
END $$;
$script$);
SELECT tapmig.apply('3_run', $script$SELECT 1;

DO $$
BEGIN
	EXECUTE 'SELECT 1 FORM x y';
END $$;
$script$);
SELECT tapmig.apply('3_run', $script$
DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'ZZ001', DETAIL = 'its detail', HINT = 'its hint'; END $$;
$script$);
\echo :LAST_ERROR_SQLSTATE
-- a message is kept as it is, lines and all
SELECT tapmig.apply('3_run', $script$
DO $$ BEGIN RAISE EXCEPTION E'% of several\nlines, at or near "it"', repeat('a long message ', 20); END $$;
$script$);
-- a constraint
SELECT tapmig.apply('3_run', $script$
CREATE TABLE script_errors_1 (i int CHECK (i > 0));
INSERT INTO script_errors_1
	VALUES (1), (-1);
$script$);

-- the next action where PostgreSQL has none
CREATE TABLE script_errors_there (i int);
SELECT tapmig.apply('4_hints', 'CREATE TABLE script_errors_there (i int)');
SELECT tapmig.apply('4_hints', 'ALTER TABLE script_errors_there ADD COLUMN i int');
SELECT tapmig.apply('4_hints', 'ALTER TABLE script_errors_there ADD CONSTRAINT c CHECK (true), ADD CONSTRAINT c CHECK (true)');
SELECT tapmig.apply('4_hints', 'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql RETURN 1; CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql RETURN 1;');
-- PostgreSQL's own hint stays
SELECT tapmig.apply('4_hints', 'SELECT length(1, 2)');
-- rights
CREATE ROLE regress_script_errors;
GRANT EXECUTE ON FUNCTION tapmig.apply TO regress_script_errors;
SET ROLE regress_script_errors;
SELECT tapmig.apply('4_hints', E'SELECT 1;\nDROP TABLE script_errors_there;');
SELECT tapmig.apply('4_hints', E'SELECT 1;\nINSERT INTO script_errors_there VALUES (1);');
RESET ROLE;
DROP OWNED BY regress_script_errors;
DROP ROLE regress_script_errors;
DROP TABLE script_errors_there;

-- Under run: the same, and the failed try is recorded.
CALL tapmig.run('5_run', E'CREATE TABLE script_errors_1 ();\nSELECT 1 / 0;');
CALL tapmig.run('5_run', E'CREATE TABLE script_errors_1 ();\nSELECT 1 FORM x y;');
CALL tapmig.run('5_run', E'CREATE TABLE script_errors_1 ();\nSELECT ''x');
CALL tapmig.run('5_run', E'\n\n\\i other.sql');
SELECT version, outcome, sqlstate, message, detail, line FROM tapmig.attempts
 WHERE track = 'script_errors' ORDER BY id;

-- Deferred constraints are checked at the end: by run within the script's
-- context, under apply by the transaction's COMMIT.
CREATE TABLE script_errors_d (i int, CONSTRAINT script_errors_u UNIQUE (i) DEFERRABLE INITIALLY DEFERRED);
CALL tapmig.run('6_deferred', E'INSERT INTO script_errors_d VALUES (1);\nINSERT INTO script_errors_d VALUES (1);\nSELECT 1;');
BEGIN;
SELECT tapmig.apply('6_deferred', E'INSERT INTO script_errors_d VALUES (1);\nINSERT INTO script_errors_d VALUES (1);\nSELECT 1;');
COMMIT;
CALL tapmig.run('6_deferred', E'INSERT INTO script_errors_d VALUES (1);\nINSERT INTO script_errors_d VALUES (1);\nDELETE FROM script_errors_d WHERE ctid = ''(0,1)'' OR true;');
DROP TABLE script_errors_d;

-- A RAISE of the script's own with the code of a refusal of the server's is none: it
-- is no reason to cut the script.
SELECT tapmig.apply('6.1_raised', E'CREATE TABLE script_errors_1 ();\nDO $$BEGIN RAISE EXCEPTION ''mine'' USING ERRCODE = ''25001''; END$$;');
CALL tapmig.run('6.1_raised', E'CREATE TABLE script_errors_1 ();\nDO $$BEGIN RAISE EXCEPTION ''mine'' USING ERRCODE = ''25001''; END$$;');
CALL tapmig.run('6.1_raised', E'CREATE TABLE script_errors_1 ();\nDO $$BEGIN RAISE EXCEPTION ''mine'' USING ERRCODE = ''2D000''; END$$;');
CALL tapmig.run('6.1_raised', E'CREATE TABLE script_errors_1 ();\nDO $$BEGIN RAISE EXCEPTION ''mine'' USING ERRCODE = ''55P04''; END$$;');
SELECT sqlstate, message, steps, steps_done FROM tapmig.attempts WHERE track = 'script_errors' AND version = '6.1' AND message = 'mine' ORDER BY id;

-- Identifiers that are cut: PostgreSQL's NOTICE, once.
SELECT tapmig.apply('7_long', 'SELECT 1 AS a_name_that_is_longer_than_sixty_three_bytes_and_is_therefore_cut_by_the_server;');
SELECT count(*) FROM tapmig.statements('SELECT 1 AS a_name_that_is_longer_than_sixty_three_bytes_and_is_therefore_cut_by_the_server;');

-- Nothing of it all is there but what was applied.
SELECT version, name FROM tapmig.schema_migrations WHERE track = 'script_errors' ORDER BY version;
SELECT relname FROM pg_class WHERE relname LIKE 'script_errors%';
