-- The fingerprint: layout and comments don't count, everything else does.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'fingerprint';

-- Records a script that isn't run, and tells whether another counts as the same.
CREATE SEQUENCE pg_temp.n;
CREATE FUNCTION pg_temp.same(a text, b text) RETURNS text LANGUAGE plpgsql
	SET client_min_messages = warning AS $$
DECLARE
	v text := nextval('pg_temp.n');
BEGIN
	PERFORM tapmig.register(v, a);
	PERFORM tapmig.apply(v, b);
	RETURN 'same';
EXCEPTION WHEN SQLSTATE 'TM001' THEN
	RETURN 'differs';
WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- Layout.
SELECT pg_temp.same(a, b), b FROM (VALUES
	('SELECT 1, a FROM t;', E'SELECT 1,\n\ta\r\nFROM t  ;'),
	('SELECT 1, a FROM t;', 'SELECT 1, a FROM t'),
	('SELECT 1, a FROM t;', 'SELECT 1, a FROM t;;  ;'),
	('SELECT 1, a FROM t;', E'-- Why: a comment\n/* and /* one */ */ SELECT 1 /* in it */, a -- here\nFROM t;'),
	('SELECT 1, a FROM t;', E'\uFEFFSELECT 1, a FROM t;'),
	('SELECT 1, a FROM t;', E'\\set ON_ERROR_STOP on\nSELECT 1, \n\\echo x\n a FROM t;\n\\pset pager'),
	('SELECT 1, a FROM t;', 'select 1,A from T;'),
	('SELECT 1, a FROM t;', 'SELECT 1,a FROM t;'),
	('SELECT a <-1', 'SELECT a < - 1'),
	('SELECT 1;SELECT 2', E'SELECT 1;\n\n\nSELECT 2;'),
	(E'COPY t FROM stdin;\n1\n\\.\n', E'COPY  t\nFROM stdin; -- data\r\n1\n\\.\r\n'),
	(E'COPY t FROM stdin;\n1\n\\.\n', E'\\copy t FROM stdin\n1\n\\.\n'),
	(E'SELECT ''a\\nb'';', E'SELECT   ''a\\nb'' ;')) AS v (a, b);

-- More than layout.
SELECT pg_temp.same(a, b), a, b FROM (VALUES
	('SELECT 1, a FROM t;', 'SELECT 2, a FROM t;'),
	('SELECT 1, a FROM t;', 'SELECT 1, b FROM t;'),
	('SELECT 1, a FROM t;', 'SELECT 1, "a" FROM t;'),
	('SELECT "a"', 'SELECT "A"'),
	('SELECT 1', 'SELECT 1.0'),
	('SELECT 1', 'SELECT ''1'''),
	('SELECT ''a  b''', 'SELECT ''a b'''),
	('SELECT ''a -- b''', 'SELECT ''a'' -- b'),
	('SELECT ''ab''', 'SELECT ''AB'''),
	('SELECT ''ab'', ''c''', 'SELECT ''a'', ''bc'''),
	('SELECT ab, c', 'SELECT a, bc'),
	('SELECT a b', 'SELECT ab'),
	('SELECT 1; SELECT 2', 'SELECT 2; SELECT 1'),
	('SELECT 1; SELECT 2', 'SELECT 1'),
	('SELECT 1; SELECT 2', 'SELECT 1 SELECT 2'),
	('SELECT a < > 1', 'SELECT a <> 1'),
	('SELECT B''10''', 'SELECT X''10'''),
	('SELECT ''10''', 'SELECT B''10'''),
	('SELECT U&''\0061''', 'SELECT ''\0061'''),
	('SELECT U&"\0061"', 'SELECT "\0061"'),
	('DO $$ BEGIN END $$', 'DO $$ BEGIN  END $$'),
	('DO $$ -- a
	BEGIN END $$', 'DO $$ -- b
	BEGIN END $$'),
	(E'COPY t FROM stdin;\n1\n\\.\n', E'COPY t FROM stdin;\n2\n\\.\n'),
	(E'COPY t FROM stdin;\n1\n\\.\n', E'COPY t FROM stdin;\n1 \n\\.\n'),
	(E'COPY t FROM stdin;\n1\n\\.\n', E'COPY t FROM stdin;\n1\r\n\\.\n'),
	(E'COPY t FROM stdin;\n1\n\\.\n', E'COPY t FROM stdin;\n-- 1\n\\.\n'),
	('', 'SELECT 1'),
	('SELECT $1', 'SELECT $2'),
	('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END', 'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; ; END')
	) AS v (a, b);

-- The same value, written otherwise: other quotes are another text, but equal tokens.
SELECT pg_temp.same(a, b), a, b FROM (VALUES
	('SELECT ''a''', 'SELECT $$a$$'),
	('SELECT ''a''', 'SELECT E''a'''),
	('SELECT a != b', 'SELECT a <> b'),
	('SELECT ''ab''', E'SELECT ''a''\n''b'''),
	('SELECT 1', 'SELECT 01'),
	('SELECT CAST(a AS int)', 'SELECT a::int')) AS v (a, b);

-- A fingerprint that must not change between versions of PostgreSQL or of tapmig: recorded ledgers rest on it.
SELECT tapmig.register('9999', E'SELECT a, "B", ''c'', U&"d", U&''e'', B''01'', X''1f'', 1, 1.5e3, $1, a <> b;\nCOPY t FROM stdin;\n1\tdata\n\\.\nSELECT merge, period, absent, json_table;');
SELECT encode(fingerprint, 'hex') FROM tapmig.schema_migrations WHERE track = 'fingerprint' AND version = '9999';
-- The checksum is sha256sum's.
SELECT encode(checksum, 'hex') = encode(sha256(convert_to(E'SELECT a, "B", ''c'', U&"d", U&''e'', B''01'', X''1f'', 1, 1.5e3, $1, a <> b;\nCOPY t FROM stdin;\n1\tdata\n\\.\nSELECT merge, period, absent, json_table;', 'UTF8')), 'hex') AS same
  FROM tapmig.schema_migrations WHERE track = 'fingerprint' AND version = '9999';
SELECT count(*) FROM tapmig.schema_migrations
 WHERE track = 'fingerprint' AND version = '9999' AND fingerprint <> checksum;
-- With a NOTICE, and the other checksum counts from then on.
SELECT tapmig.register('10000_x', 'SELECT 1');
SELECT tapmig.apply('10000_x', 'SELECT   1');
SELECT cardinality(also) FROM tapmig.schema_migrations WHERE track = 'fingerprint' AND version = '10000';
SELECT tapmig.apply('10000_x', 'SELECT   1');
