-- The files of other tools: the up part is the script, the down part is left alone.

CREATE FUNCTION shown(script text) RETURNS TABLE (line int, sql text) LANGUAGE sql AS
$$ SELECT s.line, s.sql FROM tapmig.statements(script) s $$;
CREATE FUNCTION fails(script text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
	PERFORM * FROM tapmig.statements(script);
	RETURN 'is read';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint);
END $$;

-- dbmate
SELECT * FROM shown($$-- migrate:up
CREATE TABLE a (i int);
INSERT INTO a VALUES (1)

-- migrate:down
DROP TABLE a;
$$);
SELECT * FROM shown('-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY a_i ON a (i);
-- migrate:down transaction:false
DROP INDEX CONCURRENTLY a_i');
SELECT * FROM shown(E'--migrate:up\r\nSELECT 1\r\n--migrate:down\r\nSELECT 2\r\n');
SELECT * FROM shown('-- migrate:up
-- migrate:down
DROP TABLE a');

-- goose
SELECT * FROM shown($f$-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	-- +goose Down
	RETURN 1;
END $$
-- +goose StatementEnd
SELECT 2;
-- +goose Down
-- +goose StatementBegin
DROP FUNCTION f();
-- +goose StatementEnd
$f$);

-- sql-migrate: parts in any order, more than one of each
SELECT * FROM shown('-- +migrate Down
DROP TABLE a;
-- +migrate Up notransaction
SELECT 1;
-- +migrate Down
DROP TABLE b;
-- +migrate Up
SELECT 2;
/* of two */ SELECT 3;
-- +migrate Down
DROP TABLE c');

-- node-pg-migrate, MyBatis, graphile-migrate
SELECT * FROM shown('-- Up Migration
SELECT 1;
---- down migration: not needed
SELECT 2;');
SELECT * FROM shown('-- // create a
SELECT 1;
-- //@UNDO
SELECT 2;');
SELECT * FROM shown('--! Previous: sha1:e00ec93314a423ee5cc68d1182ad52f16442d7df
--! Hash: sha1:35c1d1d7ba5d0e2f
--! Message: first

SELECT 1;');

-- The down part need not be SQL, nor look like it
SELECT * FROM shown($$-- migrate:up
SELECT 1;
-- migrate:down
it's (not $a$ SQL /* at all \i x.sql
COPY t FROM stdin;
$$);
SELECT * FROM shown($$-- migrate:up
SELECT 1
-- migrate:down
'x'$$);

-- A marker is a comment alone on its line, outside of strings and parentheses
SELECT * FROM shown($f$-- migrate:up
SELECT '
-- migrate:down
', $q$
-- migrate:down
$q$ /*
-- migrate:down
*/, (
-- migrate:down
3), "
-- migrate:down
";
SELECT 4; -- migrate:down
SELECT 5;
-- migrate:downtown
SELECT 6;
-- about migrate:down
SELECT 7;
$f$);
SELECT * FROM shown('-- migrate:up
\echo x
-- migrate:down
DROP TABLE a');
SELECT * FROM shown(E'-- migrate:up\nCOPY a FROM stdin;\n-- migrate:down\n\\.\n-- migrate:down\nDROP TABLE a');

SELECT * FROM shown(E'-- migrate:up\nCOPY a FROM stdin\n-- migrate:down\n1\n\\.\nSELECT 1;\n-- migrate:down\nDROP TABLE a');
SELECT fails('-- migrate:up
SELECT (1
-- migrate:down
DROP TABLE a;');

-- What can't be told apart is refused before anything runs
SELECT fails('CREATE TABLE a (i int);
-- migrate:down
DROP TABLE a;');
SELECT fails('-- +goose Down
DROP TABLE a;');
SELECT fails('SELECT 1;
-- Down migration is 037
SELECT 2;');
SELECT fails('SELECT 1;
-- +goose Up
SELECT 2;
-- +goose Down
SELECT 3;');
SELECT fails('-- +goose Up
SELECT 1;
-- +goose Down
SELECT 2;
-- +goose Up
SELECT 3;');
-- A down part without SQL, words in a sentence, an up part alone
SELECT fails('SELECT 1;
-- migrate:down
-- nothing');
SELECT fails('SELECT 1;
-- Up migration of the users
SELECT 2;');
SELECT * FROM shown('SELECT 1;
-- @UNDO is MyBatis'' word only behind slashes
SELECT 2;');
SELECT * FROM shown('-- +goose Up
SELECT 1;');

-- The down part doesn't count as content; the checksum is the whole file's
SELECT tapmig.apply('1_a', E'-- migrate:up\nCREATE TABLE other_tools (i int);\n-- migrate:down\nDROP TABLE other_tools;\n', track => 'other_tools');
SELECT to_regclass('other_tools');
SELECT statements, checksum = sha256(E'-- migrate:up\nCREATE TABLE other_tools (i int);\n-- migrate:down\nDROP TABLE other_tools;\n') AS whole
FROM tapmig.schema_migrations WHERE track = 'other_tools';
SELECT tapmig.apply('1_a', E'-- migrate:up\nCREATE TABLE other_tools (i int);\n-- migrate:down\nDROP TABLE IF EXISTS other_tools;\n', track => 'other_tools');
\set VERBOSITY sqlstate
SELECT tapmig.apply('1_a', E'-- migrate:up\nCREATE TABLE other_tools (i bigint);\n-- migrate:down\nDROP TABLE other_tools;\n', track => 'other_tools');
\set VERBOSITY default

-- Why: ends at a marker, and a directive of the down part is none
SELECT tapmig.apply('2_b', E'-- Why: one\n-- two\n-- migrate:up\n-- three\nSELECT 1;\n-- migrate:down\n-- tapmig: nonsense=1\nSELECT 2', track => 'other_tools');
SELECT tapmig.apply('3_c', E'-- +migrate Down\n-- tapmig: nonsense=1\nSELECT 2;\n-- +migrate Up\nSELECT 1', track => 'other_tools');
SELECT version, why, statements FROM tapmig.schema_migrations WHERE track = 'other_tools' ORDER BY 1;

DROP TABLE other_tools;
DROP FUNCTION shown, fails;
