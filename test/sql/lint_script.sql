-- tapmig.lint: DDL in texts, functions with their owner's rights, columns that swap their names, domains and proofs as the script has them.
SET client_min_messages = warning;
CREATE SCHEMA lint_script;
CREATE SCHEMA lint_script_a;
SET search_path = lint_script;
SET tapmig.lint_rows = 10;
CREATE TABLE agents (id int, old int CHECK (old IS NOT NULL AND old > 0), new int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN twice AS int CHECK (VALUE > 0) CHECK (VALUE < 9);
CREATE DOMAIN must AS int NOT NULL;
CREATE DOMAIN may AS int;
CREATE FUNCTION tame() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	-- create nothing
	RAISE NOTICE 'recreate, drop';
	RETURN 1;
END $$;
CREATE FUNCTION wild() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF true THEN
		DROP TABLE IF EXISTS x;
	END IF;
	RETURN 1;
END $$;
CREATE FUNCTION wild_sql() RETURNS void LANGUAGE sql AS 'SELECT 1; create table x ()';
CREATE TABLE lint_script_a.others (id int);
INSERT INTO lint_script_a.others SELECT i FROM generate_series(1, 50) i;
INSERT INTO agents SELECT i, i, i FROM generate_series(1, 50) i;
CREATE TABLE cases (n int GENERATED ALWAYS AS IDENTITY, script text, finds text);
INSERT INTO cases (script, finds) VALUES
-- DDL as a command, and the same words in comments, quotes and names
('DO $$ BEGIN RAISE NOTICE ''recreate this block now: drop table''; /* alter */ -- create table' || E'\n' || ' UPDATE agents SET "drop" = 1 WHERE id = 1; END $$', ''),
('DO $$ BEGIN PERFORM $x$; drop table y$x$; PERFORM 1 AS create; END $$', ''),
('DO $$ BEGIN PERFORM E''\''; drop table x''; END $$', ''),
('DO $$ BEGIN LOOP CREATE TABLE x (); EXIT; END LOOP; END $$',
	'1:opaque-ddl=notice'),
('DO $$ BEGIN FOR x IN EXECUTE ''SELECT 1'' LOOP NULL; END LOOP; END $$',
	'1:opaque-ddl=notice'),
('DO $$<<b>> LOCK TABLE agents; $$',
	'1:opaque-ddl=notice'),
('DO LANGUAGE plperl $$spi_exec_query("ALTER TABLE x")$$',
	'1:opaque-ddl=notice'),
('DO LANGUAGE plperl $$print 1$$', ''),
('SELECT tame()', ''),
('SELECT wild(), 1',
	'1:opaque-ddl=notice'),
('SELECT wild_sql()',
	'1:opaque-ddl=notice'),
-- the same function by another name
('CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$',
	'1:privilege-widening=warning'),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$; ALTER FUNCTION lint_script.f() SET search_path = pg_catalog', ''),
('CREATE FUNCTION lint_script."F"() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$; ALTER FUNCTION "F"() SECURITY INVOKER', ''),
('CREATE FUNCTION lint_script_a.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$; ALTER FUNCTION lint_script.f() SET search_path = pg_catalog',
	'1:privilege-widening=warning'),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$; ALTER FUNCTION f() RENAME TO g; ALTER FUNCTION f() SET search_path = pg_catalog',
	'1:privilege-widening=warning'),
('CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$; ALTER FUNCTION f() RENAME TO g; ALTER FUNCTION g() SET SCHEMA lint_script_a; DROP FUNCTION lint_script_a.g()', ''),
('ALTER FUNCTION tame() SECURITY DEFINER; ALTER FUNCTION tame() SECURITY INVOKER', ''),
-- rows that a WITH changes
('WITH x AS (DELETE FROM agents RETURNING id) SELECT count(*) FROM x',
	'1:dml-without-where=warning'),
('WITH x AS (UPDATE agents SET id = 1 RETURNING id) INSERT INTO agents SELECT id FROM x',
	'1:dml-without-where=warning'),
('WITH x AS (DELETE FROM agents WHERE id = 1 RETURNING id) DELETE FROM agents WHERE id IN (SELECT id FROM x)', ''),
('WITH x AS (SELECT 1) SELECT * FROM x', ''),
-- rows that are all deleted stand in no way, but are read
('DELETE FROM agents; ALTER TABLE agents ADD x int NOT NULL',
	'1:dml-without-where=warning'),
('DELETE FROM agents WHERE true; INSERT INTO agents VALUES (1, 1, 1); ALTER TABLE agents ADD x int NOT NULL',
	'1:dml-without-where=warning 3:add-column-not-null-no-default=error'),
('DELETE FROM agents WHERE id = 1; ALTER TABLE agents ADD x int NOT NULL',
	'2:add-column-not-null-no-default=error'),
('DELETE FROM agents; ALTER TABLE agents ALTER new SET NOT NULL',
	'1:dml-without-where=warning 2:set-not-null-scan=error'),
-- columns that take the name of another one
('ALTER TABLE agents RENAME old TO older; ALTER TABLE agents RENAME new TO old', ''),
('ALTER TABLE agents RENAME old TO older; ALTER TABLE agents RENAME older TO old', ''),
('ALTER TABLE agents RENAME old TO older; ALTER TABLE agents ADD old int', ''),
('ALTER TABLE agents RENAME old TO older; ALTER TABLE agents RENAME older TO oldest',
	'1:rename-column=error'),
('ALTER TABLE agents RENAME old TO older; VACUUM agents; ALTER TABLE agents RENAME new TO old',
	'1:rename-column=error 3:rename-column=error'),
('ALTER TABLE agents RENAME old TO older; ALTER TABLE agents DROP older', ''),
('ALTER TABLE agents RENAME old TO older; DROP TABLE agents', ''),
-- a number of a sequence that is not there yet
('CREATE SEQUENCE numbers; ALTER TABLE agents ADD x int DEFAULT nextval($$numbers$$)',
	'2:add-column-volatile-default=error'),
('CREATE SEQUENCE numbers; ALTER TABLE agents ADD x int DEFAULT 1 + pg_catalog.nextval($$lint_script.numbers$$::regclass)',
	'2:add-column-volatile-default=error'),
('CREATE SEQUENCE numbers; ALTER TABLE agents ADD x int; ALTER TABLE agents ALTER x SET DEFAULT nextval($$numbers$$)', ''),
-- a proof outlives another type of its column
('ALTER TABLE agents ALTER old TYPE bigint; ALTER TABLE agents ALTER old SET NOT NULL',
	'1:alter-type-rewrite=error'),
('ALTER TABLE agents ALTER new TYPE bigint; ALTER TABLE agents ALTER new SET NOT NULL',
	'1:alter-type-rewrite=error 2:set-not-null-scan=error'),
-- domains as the script has left them
('ALTER DOMAIN positive DROP CONSTRAINT positive_check; ALTER TABLE agents ADD x positive', ''),
('ALTER DOMAIN twice DROP CONSTRAINT twice_check; ALTER TABLE agents ADD x twice',
	'2:add-column-constrained-domain=error'),
('ALTER DOMAIN twice DROP CONSTRAINT twice_check; ALTER DOMAIN twice DROP CONSTRAINT twice_check1; ALTER TABLE agents ADD x twice', ''),
('ALTER DOMAIN positive DROP CONSTRAINT positive_check; ALTER DOMAIN positive ADD CHECK (VALUE > 1); ALTER TABLE agents ADD x positive',
	'3:add-column-constrained-domain=error'),
('ALTER DOMAIN must DROP NOT NULL; ALTER TABLE agents ADD x must', ''),
('ALTER DOMAIN may SET NOT NULL; ALTER TABLE agents ADD x may',
	'2:add-column-constrained-domain=error'),
('ALTER DOMAIN positive SET NOT NULL; ALTER DOMAIN positive DROP NOT NULL; ALTER TABLE agents ADD x positive',
	'3:add-column-constrained-domain=error'),
('DROP DOMAIN positive; CREATE DOMAIN positive AS int; ALTER TABLE agents ADD x positive', ''),
('CREATE DOMAIN over AS positive; ALTER TABLE agents ADD x over',
	'2:add-column-constrained-domain=error'),
('CREATE DOMAIN over AS may; ALTER TABLE agents ADD x over', ''),
('CREATE DOMAIN one AS int CHECK (VALUE > 0); CREATE DOMAIN two AS one; ALTER TABLE agents ADD x two',
	'3:add-column-constrained-domain=error'),
('CREATE DOMAIN one AS float DEFAULT random(); ALTER TABLE agents ADD x one',
	'2:add-column-volatile-default=error'),
('CREATE DOMAIN one AS float DEFAULT random(); ALTER TABLE agents ADD x one DEFAULT 1', ''),
('CREATE DOMAIN one AS timestamptz DEFAULT now(); ALTER TABLE agents ADD x one', '');
SELECT n, script, finds AS expected, found
FROM cases, LATERAL (SELECT coalesce(string_agg(statement || ':' || rule || '=' || level, ' ' ORDER BY statement, rule), '') AS found
	FROM tapmig.lint(script)) AS f
WHERE found <> finds ORDER BY n;
SELECT count(*) FROM cases;
SELECT statement, relation FROM tapmig.lint('DROP SCHEMA lint_script_a CASCADE; DROP TABLE agents') WHERE rule = 'wide-lock-window';
SELECT statement, relation FROM tapmig.lint('DROP TABLE agents; DROP SCHEMA lint_script_a CASCADE') WHERE rule = 'wide-lock-window';
DROP SCHEMA lint_script, lint_script_a CASCADE;
