-- tapmig.lint: the state of a script, levels, messages, the directive allow.
SET client_min_messages = warning;
CREATE SCHEMA lint_room;
SET search_path = lint_room, public;
CREATE TABLE agents (id int PRIMARY KEY, name varchar(20), team int);
INSERT INTO agents SELECT i, i, i FROM generate_series(1, 50) i;
CREATE TABLE teams (id int PRIMARY KEY);
CREATE TABLE empty (id int);
INSERT INTO teams VALUES (1), (2);

CREATE FUNCTION found(sql text) RETURNS TABLE (s int, rule text, level text, relation text, lock_mode text)
	LANGUAGE sql AS 'SELECT statement, rule, level, relation, lock_mode FROM tapmig.lint(sql)';

-- everything that a row has
\x on
SELECT * FROM tapmig.lint(E'\nSELECT 1;\nALTER TABLE agents ALTER COLUMN name\n TYPE int USING name::int');
\x off

-- levels: by tapmig.lint_rows, nothing when empty or new
SET tapmig.lint_rows = 49;
SELECT * FROM found('CREATE INDEX ON agents (name); CREATE INDEX ON teams (id); CREATE INDEX ON empty (id)');
SET tapmig.lint_rows = 50;
SELECT * FROM found('CREATE INDEX ON agents (name)');
SET tapmig.lint_rows = 0;
SELECT * FROM found('CREATE INDEX ON teams (id); CREATE INDEX ON empty (id)');
RESET tapmig.lint_rows;

-- what the script made, dropped, renamed, emptied
SELECT * FROM found('CREATE TABLE x (id int); CREATE INDEX ON x (id); ALTER TABLE x ADD CHECK (id > 0), ALTER id TYPE bigint');
SELECT * FROM found('DROP TABLE agents; CREATE TABLE agents (id int); CREATE INDEX ON agents (id)');
SELECT * FROM found('ALTER TABLE agents RENAME TO a; ALTER TABLE a RENAME TO b; CREATE INDEX ON b (id); CREATE INDEX ON agents (id)');
SELECT * FROM found('TRUNCATE agents; CREATE INDEX ON agents (id)');
SELECT * FROM found('CREATE TABLE IF NOT EXISTS agents (id int); CREATE INDEX ON agents (id)');
SELECT * FROM found('ALTER TABLE agents SET SCHEMA public; CREATE INDEX ON public.agents (id); CREATE INDEX ON lint_room.agents (id)');
SELECT * FROM found('CREATE TEMP TABLE agents (id int); CREATE INDEX ON agents (id); CREATE INDEX ON lint_room.agents (id)');
SELECT * FROM found('DROP SCHEMA lint_room CASCADE; CREATE INDEX ON agents (id)');

-- columns
SELECT * FROM found('ALTER TABLE agents ALTER team SET NOT NULL; ALTER TABLE agents ALTER team SET NOT NULL');
SELECT * FROM found('ALTER TABLE agents RENAME team TO crew; ALTER TABLE agents ALTER team SET NOT NULL; ALTER TABLE agents ALTER crew SET NOT NULL');
SELECT * FROM found('ALTER TABLE agents DROP COLUMN team, ADD COLUMN team int; ALTER TABLE agents ALTER team DROP NOT NULL');
SELECT * FROM found('ALTER TABLE agents ALTER name TYPE varchar(30); ALTER TABLE agents ALTER name TYPE varchar(25)');
SELECT * FROM found('ALTER TABLE agents ADD COLUMN IF NOT EXISTS name text NOT NULL UNIQUE');

-- search_path; RESET goes to what a new session has
SELECT * FROM found('SET search_path = nowhere; CREATE INDEX ON agents (id); SET search_path = lint_room; CREATE INDEX ON agents (id)');
SELECT * FROM found('RESET search_path; CREATE INDEX ON agents (id); SET search_path = lint_room; CREATE INDEX ON agents (id); RESET ALL; CREATE INDEX ON agents (id)');
SELECT * FROM found('BEGIN; SET LOCAL search_path = nowhere; CREATE INDEX ON agents (id); COMMIT; CREATE INDEX ON agents (id)');
SELECT * FROM found($$SELECT set_config('search_path', 'nowhere', true); CREATE INDEX ON agents (id); VACUUM teams; CREATE INDEX ON agents (id)$$);

-- the role: "$user", and the schemas that it may use
CREATE ROLE lint_app;
CREATE SCHEMA lint_app AUTHORIZATION lint_app;
CREATE TABLE lint_app.own (id int);
INSERT INTO lint_app.own VALUES (1);
SELECT * FROM found('RESET search_path; CREATE INDEX ON own (id); SET ROLE lint_app; CREATE INDEX ON own (id); CREATE INDEX ON lint_room.agents (id); RESET ROLE; CREATE INDEX ON lint_room.agents (id); CREATE INDEX ON own (id)');
SELECT * FROM found('RESET search_path; SET SESSION AUTHORIZATION lint_app; CREATE INDEX ON own (id); SET ROLE none; CREATE INDEX ON own (id); RESET SESSION AUTHORIZATION; CREATE INDEX ON own (id)');
SELECT * FROM found('RESET search_path; BEGIN; SET LOCAL ROLE lint_app; CREATE INDEX ON own (id); COMMIT; CREATE INDEX ON own (id)');
SELECT * FROM found('RESET search_path; SET ROLE lint_nobody; CREATE INDEX ON own (id)');
SELECT current_user = session_user AS nothing_was_set;
DROP SCHEMA lint_app CASCADE;
DROP ROLE lint_app;
SELECT * FROM found($$SELECT pg_catalog.set_config('search_path', '', false); CREATE INDEX ON agents (id); CREATE INDEX ON lint_room.agents (id)$$);
SELECT * FROM found('CREATE SCHEMA fresh CREATE TABLE agents (id int); CREATE INDEX ON fresh.agents (id); SET search_path = fresh, lint_room; CREATE INDEX ON agents (id); CREATE INDEX ON teams (id)');

-- TimeZone, as the script has it
SET timezone = 'Europe/Berlin';
ALTER TABLE agents ADD COLUMN at timestamp;
SELECT * FROM found($$ALTER TABLE agents ALTER at TYPE timestamptz$$);
SELECT * FROM found($$SET TIME ZONE 'UTC'; ALTER TABLE agents ALTER at TYPE timestamptz$$);
SELECT * FROM found($$SET timezone = 'Nowhere'; ALTER TABLE agents ALTER at TYPE timestamptz$$);
SHOW timezone;
RESET timezone;

-- a value of an enum that is there, and one that is not
CREATE TYPE mood AS ENUM ('glad');
CREATE TABLE moods (mood mood);
SELECT * FROM found($$ALTER TYPE mood ADD VALUE IF NOT EXISTS 'glad'; INSERT INTO moods VALUES ('glad')$$);
SELECT * FROM found($$ALTER TYPE mood ADD VALUE IF NOT EXISTS 'sad'; INSERT INTO moods VALUES ('sad')$$);

-- such a value, used as one and not
SELECT sql FROM unnest(ARRAY[
	$$INSERT INTO moods VALUES ('new')$$, $$UPDATE moods SET mood = 'new' WHERE mood = 'glad'$$,
	$$CREATE TABLE x (m mood DEFAULT 'new')$$, $$CREATE TABLE x (m mood, CHECK (m <> 'new'))$$,
	$$CREATE TABLE x (m mood); INSERT INTO x VALUES ('new')$$, $$CREATE VIEW x AS SELECT 'new'::mood$$,
	$$CREATE TABLE x AS SELECT 'new'::lint_room.mood$$, $$CREATE DOMAIN x AS mood CHECK (VALUE <> 'new')$$,
	$$ALTER TABLE moods ADD COLUMN other mood DEFAULT 'new'$$, $$ALTER TABLE moods ALTER mood SET DEFAULT 'new'$$,
	$$ALTER TABLE moods ADD CHECK (mood <> 'new') NOT VALID$$, $$ALTER TABLE agents ALTER name TYPE mood USING 'new'$$,
	$$CREATE INDEX ON moods (mood) WHERE mood = 'new'$$, $$CREATE POLICY x ON moods USING (mood = 'new')$$,
	$$CREATE TRIGGER x BEFORE INSERT ON moods FOR EACH ROW WHEN (NEW.mood = 'new') EXECUTE FUNCTION f()$$,
	-- not
	$$INSERT INTO agents (name) VALUES ('new')$$, $$SELECT 'new'$$, $$SELECT 'new' FROM agents$$,
	$$CREATE TABLE x (m text DEFAULT 'new')$$, $$CREATE TABLE x (m text); INSERT INTO x VALUES ('new')$$,
	$$ALTER TABLE agents ALTER name SET DEFAULT 'new'$$, $$COMMENT ON TABLE moods IS 'new'$$,
	$$INSERT INTO moods VALUES ('glad')$$]) AS sql
WHERE EXISTS (SELECT FROM tapmig.lint($$ALTER TYPE mood ADD VALUE 'new'; $$ || sql) WHERE rule = 'enum-add-value-use-same-tx');

-- policies and rules
CREATE POLICY seen ON agents USING (true);
SELECT * FROM found('ALTER POLICY seen ON agents USING (false); DROP POLICY seen ON agents; DROP RULE IF EXISTS r ON teams');
DROP POLICY seen ON agents;

-- children: where a statement means them
CREATE TABLE parent (id int, a int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child SELECT i, i FROM generate_series(1, 50) i;
SELECT * FROM found('CREATE INDEX ON parent (id); ALTER TABLE ONLY parent ALTER a TYPE bigint; UPDATE ONLY parent SET a = 1');
SELECT * FROM found('ALTER TABLE parent ALTER a TYPE bigint');
SELECT message FROM tapmig.lint('UPDATE parent SET a = 1');

SELECT * FROM found('ALTER TABLE parent ADD COLUMN b int UNIQUE');
SELECT * FROM found('ALTER TABLE parent ADD PRIMARY KEY (a)');
SELECT * FROM found('ALTER TABLE parent ADD COLUMN b int REFERENCES teams');
SET tapmig.lint_rows = 10;
SELECT * FROM found('CREATE TABLE copy AS SELECT * FROM parent; CREATE TABLE copy2 AS SELECT * FROM ONLY parent');
RESET tapmig.lint_rows;

-- ONLY a partitioned table has no rows
CREATE TABLE parted (id int NOT NULL, a int) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
INSERT INTO parted SELECT 1, i FROM generate_series(1, 50) i;
SELECT * FROM found('UPDATE ONLY parted SET a = 1; DELETE FROM ONLY parted; ALTER TABLE ONLY parted ADD PRIMARY KEY (id)');
SELECT * FROM found('UPDATE parted SET a = 1');
SELECT * FROM found('ALTER TABLE parted ADD COLUMN b int UNIQUE, ADD COLUMN IF NOT EXISTS a int UNIQUE');

-- the parts of one statement: the strongest lock is everybody's; drops come first
ALTER TABLE agents ADD CONSTRAINT c CHECK (team > 0) NOT VALID;
SELECT * FROM found('ALTER TABLE agents VALIDATE CONSTRAINT c');
SELECT * FROM found('ALTER TABLE agents VALIDATE CONSTRAINT c, ADD COLUMN x int');
SELECT message FROM tapmig.lint('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams, ADD COLUMN x int') WHERE rule = 'fk-not-not-valid';
SELECT lock_mode, message FROM tapmig.lint('ALTER TABLE agents DISABLE TRIGGER ALL, ADD COLUMN x int');
SELECT * FROM found('ALTER TABLE agents ADD COLUMN IF NOT EXISTS name text UNIQUE, DROP COLUMN name');
ALTER TABLE agents DROP CONSTRAINT c;

-- a default, even NULL, has the rows looked up
SELECT * FROM found('ALTER TABLE agents ADD COLUMN t int REFERENCES teams') WHERE rule = 'add-column-references';
SELECT * FROM found('ALTER TABLE agents ADD COLUMN t int DEFAULT NULL REFERENCES teams') WHERE rule = 'add-column-references';

-- the users of a domain, as the script has them
CREATE DOMAIN small AS int;
CREATE TABLE smalls (a small, b small[]);
INSERT INTO smalls VALUES (1);
SELECT * FROM found('ALTER DOMAIN small SET NOT NULL');
SELECT * FROM found('ALTER TABLE smalls DROP COLUMN a; ALTER DOMAIN small SET NOT NULL');
SELECT rule, relation FROM found('ALTER TABLE smalls ALTER a TYPE int; ALTER DOMAIN small SET NOT NULL');

-- an index is needed for REINDEX
SELECT * FROM found('REINDEX TABLE smalls; REINDEX TABLE agents');

-- functions that name what is renamed: as a word, in whatever language has text
CREATE FUNCTION naming() RETURNS bigint LANGUAGE sql AS 'SELECT count(TEAM) FROM agents';
CREATE FUNCTION not_naming() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) AS teams_of_agents FROM agents';
SELECT message FROM tapmig.lint('ALTER TABLE agents RENAME team TO crew');
SELECT message FROM tapmig.lint('ALTER TABLE agents RENAME TO people');
DROP FUNCTION naming, not_naming;

-- functions with DDL, wherever they are called
CREATE FUNCTION makes() RETURNS int LANGUAGE plpgsql AS 'BEGIN CREATE TABLE made (i int); RETURN 1; END';
CREATE FUNCTION tame() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
SELECT message FROM tapmig.lint('SELECT makes(); SELECT * FROM makes(); WITH a AS (SELECT abs(makes())) SELECT 1; VALUES (makes()); SELECT * FROM tame()');

-- what stands in the way of a DROP, what CASCADE takes
CREATE VIEW names AS SELECT name FROM agents;
CREATE VIEW more_names AS SELECT name FROM names;
CREATE TABLE members (id int PRIMARY KEY, team int REFERENCES teams);
CREATE SEQUENCE counter;
CREATE TABLE counted (n int DEFAULT nextval('counter'));
CREATE TYPE pair AS (a int, b small);
SELECT rule, level, message FROM tapmig.lint('DROP TABLE agents');
SELECT rule, level, message FROM tapmig.lint('DROP TABLE agents CASCADE');
SELECT rule, level, message FROM tapmig.lint('DROP VIEW names; DROP VIEW names, more_names');
SELECT rule, level, message FROM tapmig.lint('DROP VIEW more_names; DROP VIEW names; DROP TABLE agents');
SELECT rule, level, message FROM tapmig.lint('DROP VIEW names CASCADE; CREATE VIEW names AS SELECT 1; CREATE VIEW more_names AS SELECT 1');
SELECT rule, level, message FROM tapmig.lint('BEGIN; DROP VIEW names CASCADE; COMMIT; CREATE VIEW more_names AS SELECT 1');
SELECT rule, level, message FROM tapmig.lint('ALTER TABLE agents DROP COLUMN name; ALTER TABLE agents DROP COLUMN name CASCADE');
SELECT rule, level, message FROM tapmig.lint('ALTER TABLE teams DROP CONSTRAINT teams_pkey; ALTER TABLE teams DROP CONSTRAINT teams_pkey CASCADE') WHERE rule <> 'drop-constraint';
SELECT rule, level, message FROM tapmig.lint('ALTER TABLE members DROP COLUMN team; ALTER TABLE teams DROP CONSTRAINT teams_pkey') WHERE rule <> 'drop-constraint';
SELECT rule, level, message FROM tapmig.lint('DROP SEQUENCE counter; DROP SEQUENCE counter CASCADE');
SELECT rule, level, message FROM tapmig.lint('DROP TYPE mood; DROP DOMAIN small CASCADE; DROP TABLE parent; DROP TABLE parent CASCADE; DROP TABLE parted');
SELECT rule, level, message FROM tapmig.lint('DROP FUNCTION tame; DROP TABLE IF EXISTS nothing CASCADE; DROP TYPE IF EXISTS nothing CASCADE; DROP FUNCTION IF EXISTS nothing CASCADE');
SELECT rule, level, message FROM tapmig.lint('DROP SCHEMA lint_room CASCADE; DROP EXTENSION tapmig');
DROP VIEW names CASCADE;

-- SECURITY DEFINER
SELECT statement, message FROM tapmig.lint($$
CREATE FUNCTION a() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION b() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';
CREATE FUNCTION c() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION d() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION e() RETURNS int LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT 1; END;
CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET work_mem = '5MB' AS 'SELECT 1';
CREATE FUNCTION g() RETURNS int LANGUAGE sql SECURITY INVOKER AS 'SELECT 1';
CREATE FUNCTION h() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE OR REPLACE FUNCTION h() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION c() SET search_path FROM CURRENT;
ALTER FUNCTION d() SET search_path TO DEFAULT;
DROP FUNCTION a();
ALTER FUNCTION tame() SECURITY DEFINER;
$$);
ALTER FUNCTION tame() SET search_path = pg_catalog;
SELECT statement, message FROM tapmig.lint('ALTER FUNCTION tame() SECURITY DEFINER');

-- transactions: where one ends, its locks end
SELECT * FROM found('ALTER TABLE agents ADD COLUMN x int; CREATE INDEX ON agents (x)');
SELECT * FROM found('BEGIN; ALTER TABLE agents ADD COLUMN x int; COMMIT; CREATE INDEX ON agents (x)');
SELECT * FROM found('ALTER TABLE agents ADD COLUMN x int; VACUUM teams; CREATE INDEX ON agents (x)');
SELECT * FROM found('ALTER TABLE agents ADD CONSTRAINT c CHECK (team > 0) NOT VALID; VACUUM teams; ALTER TABLE agents VALIDATE CONSTRAINT c; ALTER TABLE agents VALIDATE CONSTRAINT c');
SELECT * FROM found('BEGIN; VACUUM teams');

-- what is not there is unknown
SELECT * FROM found('CREATE INDEX ON nothing (id); ALTER TABLE nothing ADD COLUMN a b DEFAULT c(); ALTER TABLE agents ADD COLUMN a b DEFAULT c(), ALTER nope TYPE int, DROP CONSTRAINT nope, VALIDATE CONSTRAINT nope');

-- one error in a statement does not hide its other hazards
SELECT * FROM found('ALTER TABLE agents ADD COLUMN a int DEFAULT 1/0, ADD COLUMN b text UNIQUE, ALTER team TYPE bigint');

-- allow
SELECT * FROM found(E'-- tapmig: allow=index-create-not-concurrent\nCREATE INDEX ON agents (id)');
SELECT statement, line, rule, level, message FROM tapmig.lint(E'-- Why: x\n-- tapmig: allow=lock-table, index-create-not-concurrent, no-such-rule\nCREATE INDEX ON agents (id)');
SELECT * FROM found(E'-- tapmig: allow=lock-table, unused-ignore\nSELECT 1');

-- errors
SELECT * FROM tapmig.lint(NULL);
SELECT * FROM tapmig.lint('SELECT 1; SELEKT 2');
SET tapmig.lint = loud;
SET tapmig.lint_rows = -1;

DROP SCHEMA lint_room CASCADE;
