-- Comment lines at the head of a script: -- Why: and -- tapmig: key=value.
\set SHOW_CONTEXT always
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'directives';
\pset null '(null)'

-- What is at the head and what isn't.
SELECT tapmig.apply('1.01', '-- Why: one line'), tapmig.apply('1.02', E'-- why:   several\n--   lines,   \n-- three\n\n-- not this\nSELECT 1;');
SELECT tapmig.apply('1.03', E'/* block /* nested */ */\n\n\\set ON_ERROR_STOP on\n-- a comment\n-- WHY: late, but at the head\n--\n-- after an empty comment line\nSELECT 1;\n-- Why: not this');
SELECT tapmig.apply('1.04', E'SELECT 1; -- Why: not this\n-- Why: nor this');
SELECT tapmig.apply('1.05', E'SELECT ''\n-- Why: not this\n-- tapmig: nonsense=1\n'';');
SELECT tapmig.apply('1.06', E'/*\n-- Why: not this\n-- tapmig: nonsense=1\n*/\nSELECT 1;');
SELECT tapmig.apply('1.07', E'\uFEFF-- Why: behind a mark\r\n-- and CRLF\r\nSELECT 1;\r\n');
SELECT tapmig.apply('1.08', E'-- Why: first\n-- tapmig: store=off\n-- Why: second\nSELECT 1;');
SELECT tapmig.apply('1.09', E'-- Why:\n-- on the next line\nSELECT 1;');
SELECT tapmig.apply('1.10', E'-- Whyever: not\n--Why: no blank\nSELECT 1;');
SELECT tapmig.apply('1.11', E'--   tapmig:   store = off  \n;;-- tapmig: nonsense=1\nSELECT 1;');
SELECT tapmig.apply('1.12', 'SELECT 1');
-- a lone CR ends a comment; SQL behind a psql command in its line ends the head
SELECT tapmig.apply('1.13', E'-- Why: one\r-- two\r\rSELECT 1;\n-- Why: not this\n');
SELECT tapmig.apply('1.14', E'\\echo one \\\\ SELECT 1;\n-- Why: not this\n');
SELECT version, why, directives FROM tapmig.schema_migrations WHERE track = 'directives' ORDER BY tapmig.version_key(version);

-- Lists, and items that continue them.
SELECT tapmig.apply('2.1', E'-- tapmig: requires=1.01, 1.02\n-- tapmig: 1.03\n-- tapmig: compensates=1.04, requires=1.05, store=off\nSELECT 1;');
SELECT tapmig.apply('2.2', E'-- tapmig: loses=agents.note, agents.key, approved-by="N. N., ""ticket"" 4711"\n-- tapmig: allow=rule-a,rule-b, lock_timeout=500ms\nSELECT 1;');
SELECT tapmig.apply('2.3', E'-- tapmig: REQUIRES=01.01\nSELECT 1;');
SELECT version, directives FROM tapmig.schema_migrations WHERE track = 'directives' AND version LIKE '2.%' ORDER BY version;

-- Not understood.
SELECT tapmig.apply('3', E'-- a line\n-- tapmig: reqires=1.01\nSELECT 1;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('3', E'-- tapmig: 1.01\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig:\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: requires=\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: requires=1.01,\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: store=off, store=on\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: store=off, on\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: store=perhaps\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: lock_timeout=long\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: lock_timeout=-1\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: requires=abc\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: replaces=9..1\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: loses=agents.note\nSELECT 1;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('3', E'-- tapmig: approved-by="N. N.\nSELECT 1;');
SELECT tapmig.apply('3', E'-- tapmig: approved-by="a" b\nSELECT 1;');
-- reading a script without running it finds them too
SELECT * FROM tapmig.statements(E'-- tapmig: reqires=1.01\nSELECT 1;');

-- requires and compensates
SELECT tapmig.apply('4.1', E'-- tapmig: requires=1.01, 9\nSELECT 1;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('4.2', E'-- tapmig: compensates=9\nSELECT 1;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('4.2', E'-- tapmig: compensates=4.2\nSELECT 1;');
SELECT tapmig.apply('4.2', 'SELECT 1');
SELECT tapmig.apply('4.3', E'-- tapmig: compensates=4.2\nSELECT 1;');

-- store
SELECT m.version, s.sql FROM tapmig.schema_migrations m LEFT JOIN tapmig.scripts s USING (checksum)
 WHERE track = 'directives' AND version IN ('1.01', '1.08', '1.11', '2.1') ORDER BY version;
SET tapmig.store_sql = off;
SELECT tapmig.apply('5.1', 'SELECT ''5.1 is not stored''');
SELECT tapmig.apply('5.2', E'-- tapmig: store=on\nSELECT ''nor is 5.2''');
RESET tapmig.store_sql;
SELECT count(*) FROM tapmig.scripts WHERE sql LIKE '%5.1 is not%' OR sql LIKE '%nor is 5.2%';

-- replaces: a squash
SELECT tapmig.apply(v, 'SELECT 1', track => 'squash_' || t)
  FROM (VALUES ('all', '1'), ('all', '2'), ('all', '3'), ('some', '1'), ('some', '2')) AS v (t, v);
SELECT tapmig.apply('10', E'-- tapmig: replaces=1..3\nCREATE TABLE directives_ran ();', track => 'squash_all');
SELECT to_regclass('directives_ran') IS NULL AS did_not_run;
SELECT tapmig.apply('10', E'-- tapmig: replaces=1..3\nCREATE TABLE directives_ran ();', track => 'squash_some');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('10', E'-- tapmig: replaces=1..3\nCREATE TABLE directives_ran ();', track => 'squash_none');
SELECT to_regclass('directives_ran') IS NOT NULL AS ran;
SELECT tapmig.apply('2', 'CREATE TABLE directives_ran ();', track => 'squash_none');
SELECT track, version, kind, directives FROM tapmig.schema_migrations WHERE track LIKE 'squash%' ORDER BY track, tapmig.version_key(version);
DROP TABLE directives_ran;

-- \copy is a statement: what follows is data
SELECT tapmig.directives(E'\\copy t from stdin\n-- tapmig: store=off\n\\.\nSELECT 1;') IS NULL AS data,
  tapmig.directives(E'\\x\\copy t from stdin\n-- tapmig: store=off\n\\.\nSELECT 1;') IS NULL AS behind_another,
  tapmig.directives(E'\\set ON_ERROR_STOP 1\n-- tapmig: store=off\nSELECT 1;') AS head;

-- Behind the first statement they say nothing, and each is told with its line.
SELECT tapmig.apply('900', E'SELECT 1;\n\n-- tapmig: store=off\n\\echo one\n-- tapmig: requires=1\n/*\n*/ SELECT 2; -- tapmig: loses=a\nSELECT 3;\n--tapmig:x\n');
SET statement_timeout = '20s';
SELECT count(*) FROM tapmig.statements(repeat(E'SELECT 1;\n-- tapmig: store=off\n', 100000));
RESET statement_timeout;
