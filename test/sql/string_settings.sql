-- Settings that change how a script's own text is read.
\set SHOW_CONTEXT always
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'string_settings';
CREATE TABLE string_t (i serial, t text);

-- As pg_dump of an old server begins, and as the script goes on.
SELECT tapmig.apply('1_off', $script$
SET standard_conforming_strings = off;
SET escape_string_warning = off;
INSERT INTO string_t (t) VALUES ('1 it\'s; \\ one');
SET standard_conforming_strings = on;
INSERT INTO string_t (t) VALUES ('2 back\'); INSERT INTO string_t (t) VALUES ('3 \\');
SELECT set_config('standard_conforming_strings', 'off', false);
INSERT INTO string_t (t) VALUES ('4 it\'s; one');
RESET standard_conforming_strings;
INSERT INTO string_t (t) VALUES ('5 back\'); INSERT INTO string_t (t) VALUES (E'6 it\'s');
$script$);
TABLE string_t ORDER BY i;
SHOW standard_conforming_strings;

-- The session's own.
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT tapmig.apply('2_session', $script$INSERT INTO string_t (t) VALUES ('7 it\'s; one'); SET standard_conforming_strings = on; INSERT INTO string_t (t) VALUES ('8 back\');$script$);
SHOW standard_conforming_strings;
RESET standard_conforming_strings;
RESET escape_string_warning;
-- A warning comes once.
SELECT tapmig.apply('3_warning', $script$SET standard_conforming_strings = off; INSERT INTO string_t (t) VALUES ('9 it\'s');$script$);
SELECT t FROM string_t WHERE i > 6 ORDER BY i;

-- tapmig's own functions, whatever the session's is.
SET standard_conforming_strings = off;
SELECT tapmig.foreign_checksum('flyway', chr(65279) || 'abc') = tapmig.foreign_checksum('flyway', E'abc\n') AS same;
RESET standard_conforming_strings;

-- backslash_quote.
SELECT tapmig.apply('4_backslash', $script$SET backslash_quote = off; SELECT E'it\'s';$script$);
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('4_backslash', $script$SELECT 1;
SET backslash_quote = off; SELECT E'it''s'; SET backslash_quote = on; SELECT E'it\'s'; RESET backslash_quote; SELECT E'it\'s';$script$);

-- Where the script switches it in a way that reading alone can't see.
SELECT tapmig.apply('5_hidden', $script$
DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END $$;
INSERT INTO string_t (t) VALUES ('a\'); SELECT ('b');
$script$);
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('5.1_hidden', $script$
DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END $$;
INSERT INTO string_t (t) VALUES ('10 no backslash');
$script$);

-- However long the statement is that switches it.
SELECT statement, sql FROM tapmig.statements(format(E'SET /* %s */ standard_conforming_strings = off; SELECT \'a\\\'; 1\';
SELECT %s, set_config(\'standard_conforming_strings\', \'on\', false); SELECT \'a\\\'; SELECT 2', repeat('-', 1000), repeat('1', 1000)))
WHERE length(sql) < 100;

-- What is local ends with the script's own COMMIT, what is not goes on; DISCARD ALL ends both.
SELECT statement, step, sql FROM tapmig.statements($script$
BEGIN; SET LOCAL standard_conforming_strings = off; SELECT 'a\''; COMMIT; SELECT 'b\';
BEGIN; SELECT set_config('standard_conforming_strings', 'off', true); SELECT 'c\''; COMMIT AND CHAIN; SELECT 'd\'; END;
BEGIN; SET LOCAL standard_conforming_strings = off; SET standard_conforming_strings = off; COMMIT; SELECT 'e\'';
DISCARD ALL; SELECT 'f\';
SELECT set_config('standard_conforming_strings', 'off', false); COMMIT; SELECT 'g\'';
$script$) WHERE sql LIKE '%\\%';
CALL tapmig.run('5.2_local', $script$
BEGIN; SET LOCAL standard_conforming_strings = off; SET LOCAL escape_string_warning = off; INSERT INTO string_t (t) VALUES ('12 it\'s'); COMMIT;
INSERT INTO string_t (t) VALUES ('13 back\');
SET standard_conforming_strings = off; DISCARD ALL; INSERT INTO string_t (t) VALUES ('14 back\');
$script$);
SELECT t FROM string_t WHERE t ~ '^1[234]' ORDER BY i;

-- What isn't obeyed: not the statement's own effect, or none at all.
SELECT statement, sql FROM tapmig.statements($script$
SET standard_conforming_strings = off; -- from the next statement on
SET standard_conforming_strings = perhaps;
SELECT 'a\''; /* standard_conforming_strings = on */
SELECT 'set_config(standard_conforming_strings)', 'a\'';
ALTER ROLE CURRENT_USER SET standard_conforming_strings = on;
SELECT 'a\'';
CREATE FUNCTION f() RETURNS text SET standard_conforming_strings = on RETURN 'a\'';
SELECT 'a\'';
$script$);

-- client_encoding has no effect: the text is in the server's encoding by then.
SELECT tapmig.apply('6_encoding', $script$
SET client_encoding = 'SJIS';
SET CLIENT_ENCODING TO 'LATIN1';
SET NAMES 'LATIN1';
RESET client_encoding;
INSERT INTO string_t (t) VALUES ('11 Größe ' || current_setting('client_encoding'));
SELECT 'Größe' AS "Größe";
DO $$ BEGIN RAISE NOTICE 'Größe'; END $$;
$script$);
SHOW client_encoding;
SELECT t FROM string_t WHERE i > 9 ORDER BY i;

-- What a script's syntax tree rests on besides: xmloption, transform_null_equals and
-- the search_path are obeyed statement by statement.
SELECT tapmig.apply('7_path', $script$
CREATE SCHEMA string_s;
SET search_path = string_s;
CREATE TABLE here (i int);
SELECT pg_catalog.set_config('search_path', '', false);
INSERT INTO string_s.here VALUES (1);
SET transform_null_equals = on;
INSERT INTO string_s.here SELECT 2 WHERE NOT (1 = NULL) IS NULL;
$script$);
SELECT * FROM string_s.here ORDER BY i;

SELECT version FROM tapmig.schema_migrations WHERE track = 'string_settings' ORDER BY tapmig.version_key(version);
DROP TABLE string_t;
DROP SCHEMA string_s CASCADE;
