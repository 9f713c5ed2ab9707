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

-- search_path
SELECT * FROM found('SET search_path = nowhere; CREATE INDEX ON agents (id); RESET search_path; CREATE INDEX ON agents (id)');
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

-- children: where a statement means them
CREATE TABLE parent (id int, a int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child SELECT i, i FROM generate_series(1, 50) i;
SELECT * FROM found('CREATE INDEX ON parent (id); ALTER TABLE ONLY parent ALTER a TYPE bigint; UPDATE ONLY parent SET a = 1');
SELECT * FROM found('ALTER TABLE parent ALTER a TYPE bigint');
SELECT message FROM tapmig.lint('UPDATE parent SET a = 1');

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
