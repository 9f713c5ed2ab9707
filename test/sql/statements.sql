-- How a script is cut into statements, and which shape each has.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;

-- Statements begin at their first token or at a block comment before it; line
-- comments before them, and what is between them, belong to none.
SELECT statement, line, command, sql FROM tapmig.statements($script$
-- a line comment
SELECT 1; SELECT 2 /* ; */ ;
/* a block /* in a block; */ */
-- and a line
SELECT ';', "a;b", $$ ; $$, $x$ $$ ; $x$ -- ;
FROM (SELECT 1 AS "a;b") AS t
;;
; /* nothing */ ;
SELECT E'it\'s;', U&'d\0061t;a', U&"a;b" UESCAPE '!', B'01', X'1F', N'n;',
	'one'
	';string'
FROM (SELECT 1 AS "a;b") AS t;
SELECT 3 -- the last one has no semicolon$script$);

-- Nothing in it.
SELECT * FROM tapmig.statements('');
SELECT * FROM tapmig.statements(E' \n\t;;\n-- a comment\n/* and a block */;');
SELECT * FROM tapmig.statements('-- a comment without a line end');
SELECT * FROM tapmig.statements(NULL);

-- A byte order mark, and every kind of line end.
SELECT statement, line, sql FROM tapmig.statements(E'\uFEFFSELECT 1;\nSELECT 2;');
SELECT statement, line, sql FROM tapmig.statements(E'-- head\r\nSELECT 1;\r\n\r\nSELECT\r\n2;\r\n');
SELECT statement, line, sql FROM tapmig.statements(E'SELECT 1;\fSELECT\f2;\t SELECT 3');
-- a lone CR ends a line comment, as it does for the server
SELECT statement, line, sql FROM tapmig.statements(E'-- head\rSELECT 1;');

-- Parentheses and brackets hold semicolons of a rule.
SELECT statement, line, command, sql FROM tapmig.statements($script$
CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b;);
CREATE RULE r AS ON INSERT TO t DO INSTEAD (
	UPDATE a SET i = (SELECT 1);
	NOTIFY b
);
SELECT 1;$script$);

-- BEGIN ATOMIC bodies.
SELECT statement, line, command, sql FROM tapmig.statements($script$
CREATE FUNCTION f() RETURNS int BEGIN ATOMIC
	SELECT CASE WHEN true THEN CASE 1 WHEN 1 THEN 2 END END;
	SELECT 2;
END;
CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC
	INSERT INTO t VALUES (1);
	;
END;
CREATE FUNCTION empty() RETURNS void BEGIN ATOMIC END;
CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC
	SELECT 1 AS end;
	SELECT 1 AS "case", t.end, t.case FROM (SELECT 1 AS end, 2 AS case) AS t;
END;
SELECT 1;$script$);

-- Labels without AS; a routine in a routine.
SELECT statement, line, command, sql FROM tapmig.statements($script$
CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 end; SELECT (SELECT 2 end) case, CASE 1 WHEN 1 THEN (SELECT 2 end) END end; END; SELECT 3;
CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC
	CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 4; END;
	SELECT begin atomic FROM begin;
END;
CREATE OR REPLACE VIEW v AS SELECT begin atomic FROM begin;
SELECT 5;$script$);

-- Words that only look like one.
SELECT statement, line, command, sql FROM tapmig.statements($script$
CREATE FUNCTION begin_atomic() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION begin() RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION atomic(begin int, atomic int) RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION a.begin() RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION "BEGIN ATOMIC"() RETURNS int LANGUAGE sql AS $$ BEGIN ATOMIC; $$;
CREATE TABLE begin (atomic int, begin int);
SELECT begin atomic FROM begin;
CREATE VIEW v AS SELECT begin atomic FROM begin;
BEGIN; SELECT CASE WHEN true THEN 1 END; END;
SELECT 1;$script$);

-- standard_conforming_strings, switched by the script itself.
SELECT statement, line, sql FROM tapmig.statements($script$
SELECT 'a\'; SELECT 1;
SET standard_conforming_strings = off;
SELECT 'a\'; SELECT 2;';
SELECT pg_catalog.set_config('standard_conforming_strings', 'on', false);
SELECT 'a\'; SELECT 3;
SET LOCAL standard_conforming_strings TO 'off';
SELECT 'a\'; SELECT 4;';
RESET standard_conforming_strings;
SELECT 'a\'; SELECT 5;
SET standard_conforming_strings = off;
SELECT 'a\'; SELECT 6;';
RESET ALL;
SELECT 'a\'; SELECT 7;
SET SESSION standard_conforming_strings = 0;
SELECT 'a\'; SELECT 8;';
SET standard_conforming_strings TO DEFAULT;
SELECT 'a\'; SELECT 9;
$script$);
SHOW standard_conforming_strings;
SET standard_conforming_strings = off;
SELECT statement, line, sql FROM tapmig.statements($script$SELECT 'a\'; SELECT 1;';
SET standard_conforming_strings = on; SELECT 'a\'; SELECT 2;
RESET standard_conforming_strings;
SELECT 'a\'; SELECT 3;$script$);
RESET standard_conforming_strings;

-- Shapes.
SELECT statement, command, shape, step, left(replace(sql, E'\n', ' '), 60) AS sql FROM tapmig.statements($script$
CREATE TABLE t (i int);
DO $$ BEGIN NULL; END $$;
CALL p();
CREATE INDEX i ON t (i);
CREATE INDEX CONCURRENTLY i ON t (i);
DROP INDEX CONCURRENTLY i;
REINDEX INDEX i;
REINDEX TABLE t;
REINDEX INDEX CONCURRENTLY i;
REINDEX (CONCURRENTLY) TABLE t;
REINDEX (CONCURRENTLY false) TABLE t;
REINDEX SCHEMA s;
REINDEX DATABASE d;
REINDEX SYSTEM d;
VACUUM; VACUUM FULL t;
ANALYZE t;
CLUSTER;
CLUSTER t USING i;
ALTER TABLE t DETACH PARTITION p;
ALTER TABLE t DETACH PARTITION p CONCURRENTLY;
ALTER TABLE t DETACH PARTITION p FINALIZE;
ALTER SYSTEM SET work_mem = 1;
CREATE DATABASE d;
DROP DATABASE d;
ALTER DATABASE d SET TABLESPACE s;
ALTER DATABASE d CONNECTION LIMIT 1;
CREATE TABLESPACE s LOCATION '/s';
DROP TABLESPACE s;
CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p;
CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false);
CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (create_slot = off);
ALTER SUBSCRIPTION s REFRESH PUBLICATION;
ALTER SUBSCRIPTION s SET PUBLICATION p;
ALTER SUBSCRIPTION s ADD PUBLICATION p WITH (refresh = false);
ALTER SUBSCRIPTION s DISABLE;
DROP SUBSCRIPTION s;
DISCARD ALL;
DISCARD PLANS;
COMMIT PREPARED 'x';
ROLLBACK PREPARED 'x';
ALTER TYPE e ADD VALUE 'v';
$script$);

-- Steps: a run of transactional statements, or one that is not.
SELECT statement, command, shape, step FROM tapmig.statements($script$
CREATE TABLE a (); CREATE TABLE b ();
VACUUM; VACUUM;
CREATE TABLE c ();
BEGIN; CREATE TABLE d (); COMMIT;
CREATE TABLE e (); CREATE TABLE f ();
BEGIN; CREATE TABLE g (); CREATE TABLE h (); COMMIT;
$script$);

-- Partitioned relations, where the catalogs tell.
CREATE TABLE parted (i int) PARTITION BY LIST (i);
CREATE INDEX parted_i ON parted (i);
SELECT statement, command, shape, step, sql FROM tapmig.statements($script$
REINDEX TABLE parted; REINDEX INDEX parted_i; CLUSTER parted USING parted_i; REINDEX TABLE nowhere;
$script$);
DROP TABLE parted;

-- Nothing of all that was run.
SELECT count(*) FROM pg_class WHERE relname IN ('t', 'v', 'begin', 'a', 'b');
