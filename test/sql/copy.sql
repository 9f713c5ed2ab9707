-- COPY ... FROM stdin with its data in the script.
\set SHOW_CONTEXT always
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'copy';
CREATE TABLE copy_t (i int, t text, b bytea);

-- The data belong to the statement, and are no statements.
SELECT statement, line, command, sql FROM tapmig.statements(E'SELECT 1;
COPY copy_t (i, t) FROM stdin;
1\tone; \'quoted
2\tSELECT 2;
3\t\\\\.
\\.
SELECT 3;
/* a comment */ COPY
  copy_t
  FROM STDIN WITH (FORMAT csv); -- and a comment
1,"a
;b",
\\.

COPY copy_t TO ''/nowhere'';
COPY copy_t FROM ''/nowhere'';
COPY copy_t FROM PROGRAM ''nowhere'';
\\copy copy_t (i) from stdin (format csv);
4
\\.
\\copy copy_t (i) FROM STDIN
\\.
SELECT 4;');

-- What COPY itself does.
SELECT tapmig.apply('1_text', E'COPY copy_t (i, t, b) FROM stdin;
1\tone\t\\\\x0001ff
2\ttab\\tnewline\\nbackslash\\\\ Größe\t\\N
3\t\t
\\N\t\\x41\\102\t\\N
\\.
');
SELECT tapmig.apply('2_csv', E'COPY copy_t (t, i) FROM stdin WITH (FORMAT csv, HEADER true, DELIMITER \';\', NULL \'-\', QUOTE \'\'\'\');
text;int
\'a;b\';10
\'it\'\'s
two lines\';11
-;12
\\.
COPY copy_t (i, t) FROM stdin (FORMAT csv, FORCE_NULL (t), HEADER match);
i,t
13,""
\\.
COPY copy_t (i) FROM stdin WHERE i > 20;
20
21
\\.
COPY copy_t FROM stdin DELIMITER \',\' NULL \'\';
22,old syntax,
\\.
COPY copy_t FROM stdin;
\\.
');
-- CRLF, as a file from Windows has it; no line end behind the end marker
SELECT tapmig.apply('3_crlf', E'COPY copy_t (i, t) FROM stdin;\r\n30\tcrlf\r\n31\tcrlf\r\n\\.\r\nCOPY copy_t (i) FROM stdin;\r\n32\r\n\\.');
-- FREEZE into a table of the same script, other schemas, defaults, triggers
SELECT tapmig.apply('4_freeze', E'
CREATE TABLE copy_f (i int, j int DEFAULT 7, k int GENERATED ALWAYS AS (i * 2) STORED);
CREATE FUNCTION copy_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.j := NEW.j + 1; RETURN NEW; END $$;
COPY public.copy_f (i) FROM stdin WITH (FREEZE);
1
\\.
CREATE TRIGGER copy_f BEFORE INSERT ON copy_f FOR EACH ROW EXECUTE FUNCTION copy_f();
COPY pg_catalog.int4_tbl_that_is_not_there FROM stdin;
\\.
');
SELECT tapmig.apply('4_freeze', E'
CREATE TABLE copy_f (i int, j int DEFAULT 7, k int GENERATED ALWAYS AS (i * 2) STORED);
CREATE FUNCTION copy_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.j := NEW.j + 1; RETURN NEW; END $$;
COPY public.copy_f (i) FROM stdin WITH (FREEZE);
1
\\.
CREATE TRIGGER copy_f BEFORE INSERT ON copy_f FOR EACH ROW EXECUTE FUNCTION copy_f();
\\copy copy_f (i) from stdin;
2
\\.
\\copy public.copy_f (i) from stdin with (format csv)
3
\\.
');
SELECT * FROM copy_f ORDER BY i;
SELECT * FROM copy_t ORDER BY i;
DROP TABLE copy_f;
DROP FUNCTION copy_f();
CALL tapmig.run('4.1_freeze', E'BEGIN;\nCREATE TABLE copy_f (i int);\nCOPY copy_f FROM stdin WITH (FREEZE);\n1\n\\.\nCOMMIT;');
SELECT * FROM copy_f;
DROP TABLE copy_f;
TRUNCATE copy_t;

-- Errors say the script's line.
SELECT tapmig.apply('5_errors', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n2\nthree\n\\.\n');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('5_errors', E'COPY copy_t (i)\nFROM stdin (FORMAT csv, HEADER);\ni\n1\n"2\n"\n3,4\n\\.\n');
SELECT tapmig.apply('5_errors', E'\\copy copy_t (i) from stdin\n1\n2\tx\n\\.\n');
SELECT tapmig.apply('5_errors', E'\n\nCOPY copy_t (i, nowhere) FROM stdin;\n1\n\\.\n');
SELECT tapmig.apply('5_errors', E'\n\nCOPY nowhere FROM stdin;\n1\n\\.\n');
SELECT tapmig.apply('5_errors', E'\n\n\\copy nowhere from stdin;\n1\n\\.\n');
SELECT tapmig.apply('5_errors', E'\n\nCOPY copy_t FROM stdin (FROMAT csv);\n1\n\\.\n');
SELECT tapmig.apply('5_errors', E'\n\nCOPY copy_t FROM stdin (ENCODING nonsense);\n1\n\\.\n');
SELECT tapmig.apply('5_errors', E'\n\nCOPY copy_t FROM stdin (FORMAT binary);\n1\n\\.\n');
SELECT tapmig.apply('5_errors', E'\n\nCOPY copy_t TO stdout;\n');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('5_errors', E'\n\nCOPY (SELECT 1) TO stdout;\n');
SELECT tapmig.apply('5_errors', E'CREATE TABLE copy_u (i int PRIMARY KEY);\nCOPY copy_u FROM stdin;\n1\n2\n1\n\\.\n');
SELECT tapmig.apply('5_errors', E'CREATE TABLE copy_u (i int CHECK (i < 3));\nCOPY copy_u FROM stdin;\n1\n2\n3\n\\.\n');
SELECT tapmig.apply('5_errors', E'CREATE TABLE copy_u (i int, CONSTRAINT copy_u_k UNIQUE (i) DEFERRABLE);\nCOPY copy_u FROM stdin;\n1\n2\n1\n\\.\nSELECT 1;');
SELECT tapmig.apply('5_errors', E'COPY copy_t (i) FROM stdin;\n1\n\\.\nSELECT 1;\nSELECT 1 / 0;\n');
SELECT tapmig.apply('5_errors', E'COPY copy_t (i) FROM stdin WHERE j > 1;\n1\n\\.\n');
SELECT tapmig.apply('5_errors', E'COPY copy_t (i) FROM stdin;\n1\n\\.\nCOPY copy_t (i) FROM stdin WITH (FREEZE);\n1\n\\.\n');
-- in a column's default, in a trigger
SELECT tapmig.apply('5_errors', E'CREATE TABLE copy_u (i int, j int DEFAULT 1 / (random() * 0)::int);\nCOPY copy_u (i) FROM stdin;\n1\n\\.\n');
SELECT tapmig.apply('5_errors', E'CREATE TABLE copy_u (i int);\nCREATE FUNCTION copy_u() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n\tRAISE ''row %'', NEW.i;\nEND $$;
CREATE TRIGGER copy_u BEFORE INSERT ON copy_u FOR EACH ROW WHEN (NEW.i > 1) EXECUTE FUNCTION copy_u();\nCOPY copy_u (i) FROM stdin;\n1\n2\n\\.\n');
SELECT version, sqlstate, line FROM tapmig.attempts WHERE track = 'copy';
CALL tapmig.run('5_errors', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n2\nthree\n\\.\n');
SELECT version, sqlstate, line FROM tapmig.attempts WHERE track = 'copy';

-- Cut short: nothing was run.
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n2\n');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n2');
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;');
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin');
SELECT tapmig.apply('6_cut', E'SELECT 1;\n\\copy copy_t (i) from stdin');
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n\\');
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n\\. \n');
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin; 1\n\\.\n');
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin; SELECT 2;\n1\n\\.\n');
-- a lone CR ends the comment
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin; -- comment\r\r -- comment\r\n\\.\nSELECT 2 FROM;\n');
SELECT tapmig.apply('6_cut', E'SELECT 1;\nCOPY copy_t (i) FROM stdin; -- comment\rSELECT 2;\n1\n\\.\n');
\echo :LAST_ERROR_SQLSTATE

-- An end marker that is not alone on its line, of which the server says nothing up to 17: it would cut
-- the value, or leave out what is behind it.
SELECT tapmig.apply('6.1_marker', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n2\\.\n3\n\\.\n');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('6.1_marker', E'SELECT 1;\nCOPY copy_t (t) FROM stdin;\n1\\.\nCOPY copy_t (t) FROM stdin;\n2\n\\.\n');
SELECT tapmig.apply('6.1_marker', E'\\copy copy_t (t) FROM stdin\r\n1\r\n \\.\r\n\\.\r\n');
SELECT tapmig.apply('6.1_marker', E'COPY copy_t (t) FROM stdin;\n\\.\r\r\n3\n\\.\n');
SELECT tapmig.apply('6.1_marker', E'COPY copy_t (t) FROM stdin;\n1\r\\.\r3\n\\.\n');
SELECT tapmig.apply('6.1_marker', E'COPY copy_t (t) FROM stdin (DELIMITER ''|'');\n1\n2\\\\\\.\n\\.\n');
\set VERBOSITY sqlstate
SELECT tapmig.apply('6.1_marker', E'COPY copy_t (t) FROM stdin;\n1\\.x\n\\.\n');
SELECT tapmig.apply('6.1_marker', E'COPY copy_t (t) FROM stdin;\n\\. \n\\.\n');
SELECT tapmig.apply('6.1_marker', E'COPY copy_t (t) FROM stdin (FORMAT csv);\n1\r\\.\r3\n\\.\n');
\set VERBOSITY default
SELECT count(*) FROM copy_t;
-- not one: behind a backslash, and in CSV
SELECT tapmig.apply('6.2_no_marker', E'COPY copy_t (t) FROM stdin;\n1\\\\.\n\\\\.\n\\\\\\\\.\\\\\n\\.\nCOPY copy_t (t) FROM stdin (FORMAT csv);\n2\\.\n\\.x\n"\\."\n\\.\n');
SELECT t FROM copy_t;
TRUNCATE copy_t;

-- What COPY checks.
CREATE ROLE regress_copy;
GRANT EXECUTE ON FUNCTION tapmig.apply TO regress_copy;
SET ROLE regress_copy;
SELECT tapmig.apply('7_rights', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n\\.\n');
RESET ROLE;
GRANT INSERT (i) ON copy_t TO regress_copy;
SET ROLE regress_copy;
SELECT tapmig.apply('7_rights', E'SELECT 1;\nCOPY copy_t (i, t) FROM stdin;\n1\tx\n\\.\n');
SELECT tapmig.apply('7_rights', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n\\.\n');
RESET ROLE;
GRANT ALL ON copy_t TO regress_copy;
ALTER TABLE copy_t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON copy_t USING (i > 1);
SET ROLE regress_copy;
SELECT tapmig.apply('8_rls', E'SELECT 1;\nCOPY copy_t (i) FROM stdin;\n1\n\\.\n');
RESET ROLE;
ALTER TABLE copy_t DISABLE ROW LEVEL SECURITY;
DROP OWNED BY regress_copy;
DROP ROLE regress_copy;
CALL tapmig.run('9_read_only', E'SET TRANSACTION READ ONLY;\nCOPY copy_t (i) FROM stdin;\n1\n\\.\n');
SELECT tapmig.apply('10_view', E'CREATE VIEW copy_v AS SELECT 1 AS i;\nCOPY copy_v FROM stdin;\n1\n\\.\n');

-- A transaction's later statements see the rows, and foreign keys are checked.
SELECT tapmig.apply('11_see', E'TRUNCATE copy_t;
CREATE TABLE copy_p (i int PRIMARY KEY);
CREATE TABLE copy_c (i int REFERENCES copy_p);
COPY copy_c FROM stdin;
1
\\.
');
SELECT tapmig.apply('11_see', E'TRUNCATE copy_t;
CREATE TABLE copy_p (i int PRIMARY KEY);
CREATE TABLE copy_c (i int REFERENCES copy_p);
COPY copy_p FROM stdin;
1
2
\\.
COPY copy_c FROM stdin;
1
\\.
INSERT INTO copy_c SELECT i FROM copy_p WHERE i = 2;
');
SELECT * FROM copy_c ORDER BY i;
-- the encoding of COPY and of the client don't count: the script is in the server's
SELECT tapmig.apply('12_encoding', E'SET client_encoding = LATIN1;\nCOPY copy_t (t) FROM stdin (ENCODING \'LATIN1\');\nGröße\n\\.\n');
SELECT t, length(t), pg_client_encoding() FROM copy_t;
DROP TABLE copy_t, copy_c, copy_p;
SELECT version FROM tapmig.schema_migrations WHERE track = 'copy' ORDER BY tapmig.version_key(version);
