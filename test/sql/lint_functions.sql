-- tapmig.lint knows what the script's own functions are: made, replaced, altered, moved, dropped. What it says of a default is what a rehearsal measures.
SET client_min_messages = warning;
CREATE SCHEMA lint_functions;
CREATE SCHEMA lint_functions_too;
SET search_path = lint_functions;
SET tapmig.lint_rows = 10;
CREATE FUNCTION varies() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION fixed() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION nextval(text) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7::bigint';
CREATE SEQUENCE counter;
CREATE TYPE mood AS ENUM ('a');
CREATE TABLE agents (id int PRIMARY KEY, a int, c text);
INSERT INTO agents SELECT i, i, i FROM generate_series(1, 50) i;

CREATE TABLE cases (n int GENERATED ALWAYS AS IDENTITY, script text, rewrites bool);
-- {v}: LANGUAGE plpgsql and a text; {d}: ALTER TABLE agents ADD x int DEFAULT
INSERT INTO cases (script, rewrites) VALUES
('CREATE FUNCTION f() RETURNS int {v}; {d} f()', true),
('CREATE FUNCTION f() RETURNS int IMMUTABLE {v}; {d} f()', false),
('CREATE FUNCTION f() RETURNS int STABLE {v}; {d} f() + 1', false),
('CREATE FUNCTION f() RETURNS int STABLE {v}; {d} f() + (10 * random())::int', true),
('CREATE FUNCTION f(int) RETURNS int IMMUTABLE {v}; {d} f((10 * random())::int)', true),
('CREATE FUNCTION f(int) RETURNS int IMMUTABLE {v}; {d} f(varies())', true),
('CREATE FUNCTION f(n int) RETURNS int IMMUTABLE {v}; {d} f(n => varies())', true),
('CREATE FUNCTION f(n int) RETURNS int IMMUTABLE {v}; {d} f(n => 2)', false),
-- in SQL: as planning sees them
('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1''; {d} f()', false),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT (10 * random())::int''; {d} f()', true),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT max(id) FROM lint_functions.agents''; {d} f()', true),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT (SELECT 1)''; {d} f()', true),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1 LIMIT 1''; {d} f()', true),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1; SELECT 2''; {d} f()', true),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS ''SELECT 1''; {d} f()', true),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql SET work_mem = ''1MB'' AS ''SELECT 1''; {d} f()', true),
('CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS ''SELECT a + $1''; {d} f(1)', false),
('CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS ''SELECT f.a + 1''; {d} f(1)', false),
('CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS ''SELECT a + $1''; {d} f(varies())', true),
('CREATE FUNCTION f(a int DEFAULT 2) RETURNS int LANGUAGE sql AS ''SELECT a''; {d} f(varies())', true),
('CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql STRICT AS ''SELECT 1''; {d} f(1)', true),
('CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql STRICT AS ''SELECT coalesce(a, 1)''; {d} f(1)', true),
('CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql STRICT AS ''SELECT a + 1''; {d} f(1)', false),
('CREATE FUNCTION f() RETURNS int RETURN 1; {d} f()', false),
('CREATE FUNCTION f() RETURNS int RETURN varies(); {d} f()', true),
('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; {d} f()', false),
('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; {d} f()', true),
('CREATE FUNCTION f() RETURNS int {v}; CREATE FUNCTION g() RETURNS int LANGUAGE sql AS ''SELECT lint_functions.f()''; {d} g()', true),
('CREATE FUNCTION f() RETURNS int STABLE {v}; CREATE FUNCTION g() RETURNS int LANGUAGE sql AS ''SELECT lint_functions.f()''; {d} g()', false),
-- new definitions, ALTER, other names
('CREATE OR REPLACE FUNCTION varies() RETURNS int IMMUTABLE {v}; {d} varies()', false),
('CREATE OR REPLACE FUNCTION fixed() RETURNS int {v}; {d} fixed()', true),
('CREATE FUNCTION f() RETURNS int {v}; CREATE OR REPLACE FUNCTION f() RETURNS int IMMUTABLE {v}; {d} f()', false),
('ALTER FUNCTION varies() IMMUTABLE; {d} varies()', false),
('ALTER FUNCTION varies() STABLE; ALTER FUNCTION varies VOLATILE; {d} varies()', true),
('ALTER FUNCTION fixed() VOLATILE; {d} fixed()', true),
('ALTER FUNCTION fixed() COST 7; {d} fixed()', false),
('ALTER FUNCTION one() SECURITY DEFINER; {d} one()', true),
('ALTER FUNCTION one() SET work_mem = ''1MB''; {d} one()', true),
('CREATE FUNCTION f() RETURNS int {v}; ALTER FUNCTION f() IMMUTABLE; {d} f()', false),
('CREATE FUNCTION f() RETURNS int IMMUTABLE {v}; ALTER FUNCTION f() VOLATILE; {d} f()', true),
('CREATE FUNCTION f() RETURNS int {v}; ALTER ROUTINE f() IMMUTABLE; {d} f()', false),
('ALTER FUNCTION fixed() RENAME TO called; {d} called()', false),
('ALTER FUNCTION varies() RENAME TO called; {d} called()', true),
('ALTER FUNCTION varies() SET SCHEMA lint_functions_too; {d} lint_functions_too.varies()', true),
('ALTER FUNCTION varies() RENAME TO called; CREATE FUNCTION varies() RETURNS int IMMUTABLE {v}; {d} varies()', false),
('CREATE FUNCTION f() RETURNS int {v}; ALTER FUNCTION f() RENAME TO g; CREATE FUNCTION f() RETURNS int IMMUTABLE {v}; {d} f()', false),
('CREATE FUNCTION f() RETURNS int {v}; DROP FUNCTION f(); CREATE FUNCTION f() RETURNS int IMMUTABLE {v}; {d} f()', false),
('DROP FUNCTION varies(); CREATE FUNCTION varies() RETURNS int IMMUTABLE {v}; {d} varies()', false),
-- which one is meant
('CREATE FUNCTION f(int) RETURNS int {v}; CREATE FUNCTION f(text) RETURNS int IMMUTABLE {v}; {d} f(1)', true),
('CREATE FUNCTION f(int) RETURNS int {v}; CREATE FUNCTION f(text) RETURNS int IMMUTABLE {v}; {d} f(''x''::text)', false),
('CREATE FUNCTION f(int) RETURNS int IMMUTABLE {v}; CREATE FUNCTION f(text) RETURNS int {v}; DROP FUNCTION f(text); {d} f(1)', false),
('CREATE FUNCTION f(int, int DEFAULT 5) RETURNS int {v}; CREATE FUNCTION f() RETURNS int IMMUTABLE {v}; {d} f(1)', true),
('CREATE FUNCTION f(VARIADIC int[]) RETURNS int {v}; CREATE FUNCTION f() RETURNS int IMMUTABLE {v}; {d} f(1, 2, 3)', true),
('CREATE FUNCTION fixed(int) RETURNS int {v}; {d} fixed()', false),
('CREATE FUNCTION varies(int) RETURNS int IMMUTABLE {v}; {d} varies()', true),
('CREATE FUNCTION f(numeric) RETURNS int {v}; {d} f(1)', true),
('CREATE FUNCTION lint_functions_too.fixed() RETURNS int {v}; {d} fixed()', false),
('CREATE FUNCTION lint_functions_too.fixed() RETURNS int {v}; {d} lint_functions_too.fixed()', true),
('CREATE FUNCTION lint_functions_too.fixed() RETURNS int {v}; SET search_path = lint_functions_too, lint_functions; {d} fixed()', true),
('CREATE FUNCTION f(int, OUT b int) {v2}; {d} f(1)', true),
-- in a domain, with a type of the script
('CREATE FUNCTION f() RETURNS int {v}; CREATE DOMAIN d AS int DEFAULT f(); ALTER TABLE agents ADD x d', true),
('CREATE FUNCTION f() RETURNS int IMMUTABLE {v}; CREATE DOMAIN d AS int DEFAULT f(); ALTER TABLE agents ADD x d', false),
('CREATE FUNCTION f() RETURNS mood {v3}; ALTER TABLE agents ADD x mood DEFAULT f()', true),
('CREATE TYPE hue AS ENUM (''a''); CREATE FUNCTION f() RETURNS hue {v3}; ALTER TABLE agents ADD x hue DEFAULT f()', true),
('CREATE TYPE hue AS ENUM (''a''); CREATE FUNCTION f() RETURNS hue IMMUTABLE {v3}; ALTER TABLE agents ADD x hue DEFAULT f()', false),
-- a function of a user that is called nextval is not the server's
('{d} nextval(''counter'')', false),
('{d} lint_functions.nextval(''counter'')', false),
('{d} pg_catalog.nextval(''counter'')', true),
('{d} nextval(''counter''::regclass)', true),
('CREATE SEQUENCE later; {d} nextval(''later''::regclass)', true),
('CREATE SEQUENCE later; {d} pg_catalog.nextval(''later'')', true),
('DROP FUNCTION nextval(text); CREATE FUNCTION nextval(text) RETURNS int {v}; {d} nextval(''counter'')', true),
-- USING
('CREATE FUNCTION f(text) RETURNS int {v}; ALTER TABLE agents ALTER c TYPE int USING f(c)', true),
('CREATE FUNCTION f(text) RETURNS int IMMUTABLE {v}; ALTER TABLE agents ALTER c TYPE int USING f(c)', true);
UPDATE cases SET script = replace(replace(replace(replace(script, '{v}', 'LANGUAGE plpgsql AS ''BEGIN RETURN 1; END'''),
	'{v2}', 'LANGUAGE plpgsql AS ''BEGIN b := 1; END'''), '{v3}', 'LANGUAGE plpgsql AS ''BEGIN RETURN ''''a''''; END'''), '{d}', 'ALTER TABLE agents ADD x int DEFAULT');

-- what lint says, what the server does
SELECT n, script, rewrites AS expected, found, done
FROM cases,
	LATERAL (SELECT count(*) > 0 AS found FROM tapmig.lint(script) WHERE rule IN ('add-column-volatile-default', 'alter-type-rewrite')) AS f,
	LATERAL (SELECT bool_or(rewritten) AS done FROM tapmig.rehearse(script) WHERE relation IS NOT NULL) AS r
WHERE found <> rewrites OR done <> rewrites ORDER BY n;
SELECT count(*) FROM cases;

-- a CHECK, by what the function is called; a function that calls itself; one that the text doesn't name
SELECT script, coalesce((SELECT string_agg(rule, ' ' ORDER BY rule) FROM tapmig.lint(script)), '') AS found FROM (VALUES
	('CREATE FUNCTION f(int) RETURNS bool STABLE LANGUAGE plpgsql AS ''BEGIN RETURN true; END''; ALTER TABLE agents ADD CHECK (f(a)) NOT VALID'),
	('CREATE FUNCTION f(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS ''BEGIN RETURN true; END''; ALTER TABLE agents ADD CHECK (f(a)) NOT VALID'),
	('CREATE FUNCTION f(int) RETURNS bool LANGUAGE sql AS ''SELECT true''; ALTER TABLE agents ADD CHECK (f(a)) NOT VALID'),
	('CREATE FUNCTION f(int) RETURNS bool IMMUTABLE LANGUAGE sql AS ''SELECT true''; ALTER TABLE agents ADD CHECK (f(a) AND a > random()) NOT VALID'),
	('CREATE FUNCTION f(int) RETURNS bool IMMUTABLE LANGUAGE sql AS ''SELECT true''; ALTER TABLE agents ADD CHECK (f((a * random())::int)) NOT VALID'),
	('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT f()''; ALTER TABLE agents ADD x int DEFAULT f()'),
	('ALTER FUNCTION nothing() IMMUTABLE; DROP FUNCTION IF EXISTS nothing(); ALTER TABLE agents ADD x int DEFAULT varies()'),
	('CREATE FUNCTION f(no_such_type) RETURNS int LANGUAGE sql AS ''SELECT 1''; ALTER TABLE agents ADD x int DEFAULT f(1)'),
	('CREATE PROCEDURE f() LANGUAGE sql AS ''SELECT 1''; ALTER TABLE agents ADD x int DEFAULT f()')) AS s (script);

-- what a function of the script does where the script calls it
CREATE FUNCTION drops() RETURNS void LANGUAGE plpgsql AS 'BEGIN DROP TABLE lint_functions.agents; END';
CREATE FUNCTION quiet() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
SELECT script, coalesce((SELECT string_agg(statement || ':' || message, ' ' ORDER BY statement) FROM tapmig.lint(script) WHERE rule = 'opaque-ddl'), '') AS found FROM (VALUES
	('CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS ''BEGIN DROP TABLE x; END''; SELECT f()'),
	('CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS ''BEGIN PERFORM 1; END''; SELECT f()'),
	('SELECT quiet(); CREATE FUNCTION f() RETURNS void LANGUAGE sql AS ''DROP TABLE x''; SELECT 1 WHERE f() IS NULL'),
	('CREATE PROCEDURE f() LANGUAGE plpgsql AS ''BEGIN DROP TABLE x; END''; CALL f()'),
	('CREATE PROCEDURE f() LANGUAGE plpgsql AS ''BEGIN PERFORM 1; END''; CALL f()'),
	('SELECT drops(); DROP FUNCTION drops(); SELECT drops()'),
	('SELECT quiet(); CREATE OR REPLACE FUNCTION quiet() RETURNS void LANGUAGE plpgsql AS ''BEGIN DROP TABLE x; END''; SELECT quiet()'),
	('CREATE OR REPLACE FUNCTION drops() RETURNS void LANGUAGE plpgsql AS ''BEGIN END''; SELECT drops()')) AS s (script);

DROP SCHEMA lint_functions, lint_functions_too CASCADE;
