-- psql's own commands in a script: those that only change what psql prints have
-- no effect, all others are refused with line, command, reason and way out.
\set SHOW_CONTEXT always
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'psql_commands';

-- Accepted.
SELECT statement, line, sql FROM tapmig.statements($script$\set ON_ERROR_STOP on
\set ON_ERROR_STOP 1
\set ON_ERROR_STOP
\echo hello
\qecho 'it''s' "a;b" SELECT
\warn -- no comment
\pset null '(null)'
\pset format unaligned
\x
\x auto
\t
\t on
\a
\timing
\timing off
\encoding UTF8
\encoding utf-8
\encoding
\restrict abcDEF123
SELECT 1; \echo behind a statement
\echo before one \\ SELECT 2;
SELECT
\echo within one
3;
SELECT 4 \echo within its line
;
	\echo indented
\echo 'quoted \\ backslashes' \\ SELECT 5;
\echo it''s one\\ SELECT 6;
\unrestrict abcDEF123
\echo at the end$script$);
SELECT statement, line, sql FROM tapmig.statements(E'\\echo a\r\n\\pset pager off\r\nSELECT 1;\r\n\\x\r\n\\t\r\n');
-- as at the head of an extension's script
SELECT statement, line, sql FROM tapmig.statements('\echo Use "CREATE EXTENSION x" to load this file. \quit
SELECT 1;');

-- They are not in the way of text.
SELECT statement, line, sql FROM tapmig.statements($script$SELECT '
\i other.sql
', $$
\gexec
$$, "
\q
" FROM t -- \i
/*
\! ls
*/;
$script$);

-- Accepted with a NOTICE: an error still stops.
SELECT tapmig.apply('1_notice', $script$\set ON_ERROR_STOP off
\unset ON_ERROR_STOP
\set ON_ERROR_STOP 0
SELECT 1;
$script$);
SELECT tapmig.apply('2_stop', $script$\set ON_ERROR_STOP off
SELECT 1 / 0;
CREATE TABLE psql_commands_there ();
$script$);

-- Refused, in the words that their user sees.
SELECT tapmig.apply('3_refused', E'CREATE TABLE psql_commands_there ();\n\n\\i other.sql\n');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('3_refused', E'SELECT 1;\n\\set name value');
SELECT tapmig.apply('3_refused', E'SELECT 1;\n\\set');
SELECT tapmig.apply('3_refused', E'SELECT 1;\n\\set ON_ERROR_STOP perhaps');
SELECT tapmig.apply('3_refused', E'SELECT 1;\n\\unset name');
SELECT tapmig.apply('3_refused', E'SELECT 1;\n  \\if true\nSELECT 2;\n\\endif');
SELECT tapmig.apply('3_refused', E'SELECT 1\n\\gexec');
SELECT tapmig.apply('3_refused', E'SELECT 1 \\gset');
SELECT tapmig.apply('3_refused', E'SELECT 1\\g');
SELECT tapmig.apply('3_refused', E'\\o file\nSELECT 1;');
SELECT tapmig.apply('3_refused', E'\\c other');
SELECT tapmig.apply('3_refused', E'\\encoding LATIN1');
SELECT tapmig.apply('3_refused', E'\\quit');
SELECT tapmig.apply('3_refused', E'\\echo that is all\n\\q');
SELECT tapmig.apply('3_refused', E'\\nonsense');
SELECT tapmig.apply('3_refused', E'SELECT 1;\n\\.\n');
SELECT tapmig.apply('3_refused', E'\\copy t from ''file''');
SELECT tapmig.apply('3_refused', E'\\copy t to stdout');
SELECT tapmig.apply('3_refused', E'\\copy t from pstdin');
SELECT tapmig.apply('3_refused', E'\\copy (SELECT 1) to program ''cat''');
SELECT tapmig.apply('3_refused', E'SELECT 1\n\\copy t from stdin\n\\.\n');
-- and all the others
CREATE FUNCTION pg_temp.says(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tapmig.apply('3_refused', E'SELECT 1;\n\\' || command || E' x\nSELECT 2;\n');
	RETURN 'accepted';
EXCEPTION WHEN SQLSTATE 'TM009' THEN
	RETURN SQLERRM;
END $$;
SELECT pg_temp.says(name) FROM regexp_split_to_table('! g gx gexec gset gdesc crosstabview watch i ir include
	include_relative if elif else endif o out w write c connect q quit cd d dt df+ e ef ev f h ? html
	password prompt r s setenv getenv sf sv bind p reset print lo_import lo_export l errverbose
	gexec; copyright conninfo H C T z ddp X ECHO Set', '\s+') AS name;

-- A backslash that is no command.
SELECT tapmig.apply('4_backslash', E'SELECT 1;\n\\');
SELECT tapmig.apply('4_backslash', E'SELECT 1;\n\\ x');
SELECT tapmig.apply('4_backslash', E'SELECT 1;\n\\\nSELECT 2;');
SELECT tapmig.apply('4_backslash', E'SELECT 1 \\; SELECT 2;');
SELECT tapmig.apply('4_backslash', E'SELECT 1;\n\\\\ SELECT 2;');

-- A string that goes on behind a command: one to the server, whose end is another.
SELECT tapmig.apply('5_string', $script$SELECT 1;
SELECT E'a' \echo
'x\'' ; SELECT 2 --'
$script$);

SELECT version FROM tapmig.schema_migrations WHERE track = 'psql_commands';
SELECT to_regclass('psql_commands_there') IS NULL AS nothing_there;
