-- tapmig.lint of large scripts: names that aren't there are kept by their hashes, and
-- a few statements share a subtransaction. What is found stays the same.
SET client_min_messages = warning;
CREATE SCHEMA lint_large;
SET search_path = lint_large;
SET tapmig.lint_rows = 10;
CREATE TABLE agents (id int PRIMARY KEY, name text, code int NOT NULL DEFAULT 1);
INSERT INTO agents SELECT g, g FROM generate_series(1, 20) g;
CREATE VIEW agents_view AS SELECT id, name FROM agents;
CREATE TYPE mood AS ENUM ('good');
CREATE TABLE moods (id int, mood mood);
CREATE FUNCTION score(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE VIEW scores AS SELECT score(id) FROM agents;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER agents_noted AFTER INSERT ON agents EXECUTE FUNCTION noted();
CREATE FUNCTION agents_names() RETURNS bigint LANGUAGE sql AS 'SELECT count("name") FROM lint_large.AGENTS';
CREATE SCHEMA lint_other;
CREATE TABLE lint_other.hidden (id int);
INSERT INTO lint_other.hidden SELECT generate_series(1, 20);
CREATE TYPE lint_other.level AS ENUM ('low');
CREATE DOMAIN lint_other.even AS int CHECK (VALUE % 2 = 0);
SELECT format('CREATE TABLE wide (%s)', string_agg(format('c%s int', g), ', ')) FROM generate_series(1, 60) g \gexec
INSERT INTO wide (c1) SELECT generate_series(1, 20);

-- Statements that say nothing, for so many names that each catalog is read as a whole.
CREATE FUNCTION misses(n int) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('DROP TABLE IF EXISTS gone%1$s; DROP TYPE IF EXISTS gone%1$s; DROP TABLE IF EXISTS gone%1$s.agents; SELECT gone%1$s(1);', g), E'\n')
	FROM generate_series(1, n) g
$$;
CREATE FUNCTION found(script text) RETURNS TABLE (rule text, level text, relation text, message text) LANGUAGE sql AS $$
	SELECT rule, level, relation, regexp_replace(message, 'statement \d+', 'statement N') FROM tapmig.lint(script) ORDER BY statement, rule, message
$$;
-- What is found after so many statements, which has to be the same as without them.
CREATE FUNCTION found_after(script text) RETURNS TABLE (rule text, level text, relation text, message text) LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT array_agg(f) FROM found(misses(1000) || script) f) IS DISTINCT FROM (SELECT array_agg(f) FROM found(script) f) THEN
		RAISE EXCEPTION 'not the same after other statements: %', (SELECT array_agg(f) FROM found(misses(1000) || script) f);
	END IF;
	RETURN QUERY SELECT * FROM found(script);
END $$;
SELECT count(*) FROM found(misses(1000));

-- What is there is found, what the script makes too.
SELECT * FROM found_after('DROP TABLE agents');
SELECT * FROM found_after('DROP FUNCTION score(int)');
SELECT * FROM found_after('DROP TYPE mood');
SELECT * FROM found((SELECT string_agg(format('DROP TRIGGER IF EXISTS gone%s ON agents;', g), '') FROM generate_series(1, 100) g) || 'DROP TRIGGER agents_noted ON agents');
SELECT * FROM found_after('ALTER SCHEMA lint_other RENAME TO another');
SELECT * FROM found_after('SELECT score(1); DROP FUNCTION score(int) CASCADE');
SELECT * FROM found_after('CREATE TABLE gone1 (id int); ALTER TABLE gone1 ADD COLUMN a int NOT NULL; CREATE INDEX ON gone1 (id); CREATE INDEX ON agents (name)');
SELECT * FROM found_after('CREATE SCHEMA gone2000; CREATE TABLE gone2000.agents (id int); SET search_path = gone2000, lint_large; CREATE INDEX ON agents (id); DROP SCHEMA gone2000 CASCADE; CREATE INDEX ON agents (id)');
SELECT * FROM found_after('CREATE TYPE gone1 AS ENUM (''a''); ALTER TYPE gone1 ADD VALUE ''b''; CREATE TABLE t (a gone1 DEFAULT ''b''); ALTER TYPE mood ADD VALUE ''bad''; INSERT INTO moods VALUES (1, ''good''); INSERT INTO moods VALUES (1, ''bad'')');
SELECT * FROM found_after('SET search_path = lint_other; ALTER TABLE hidden ADD COLUMN a even; CREATE INDEX ON hidden (id); SET search_path = lint_large; CREATE INDEX ON hidden (id); ALTER TABLE agents ADD COLUMN a even; ALTER TABLE agents ADD COLUMN b lint_other.even');
SELECT * FROM found_after('ALTER TABLE agents RENAME COLUMN name TO gone1; ALTER TABLE agents RENAME COLUMN code TO gone2; ALTER TABLE agents RENAME COLUMN id TO gone3');
SELECT * FROM found_after('ALTER TABLE agents RENAME TO gone1; ALTER TABLE moods RENAME TO agents; ALTER TABLE gone1 RENAME TO gone2; CREATE INDEX ON gone2 (id); ALTER TABLE wide RENAME TO narrow');
SELECT * FROM found_after('CREATE VIEW gone1 AS SELECT 1; DROP VIEW gone1; CREATE SEQUENCE gone1; DROP TABLE agents CASCADE; CREATE VIEW scores AS SELECT 1 AS a; CREATE TABLE agents (id int); CREATE INDEX ON agents (id)');

-- An error of the analysis ends the look at one statement, no more.
SELECT * FROM found_after('ALTER TABLE agents ADD CHECK (unknown(id) > 0); CREATE INDEX ON agents (id); ALTER TABLE agents ADD COLUMN a int DEFAULT unknown(); ALTER TABLE agents ADD COLUMN b int DEFAULT random(); CREATE SCHEMA s CREATE TABLE t (id int CHECK (unknown(id))); ALTER TABLE agents ALTER COLUMN code TYPE bigint USING 1 / 0; CREATE INDEX ON agents (name)');

-- Columns of a wide table, by their names of that moment.
SELECT * FROM found_after('ALTER TABLE wide ALTER c1 SET NOT NULL, ALTER c2 SET NOT NULL, ALTER c59 SET NOT NULL, ALTER no SET NOT NULL, ALTER ctid SET NOT NULL;
	ALTER TABLE wide RENAME c3 TO d3; ALTER TABLE wide ALTER c3 SET NOT NULL; ALTER TABLE wide ALTER d3 SET NOT NULL;
	ALTER TABLE wide DROP c4; ALTER TABLE wide ALTER c4 SET NOT NULL; ALTER TABLE wide ADD c4 int NOT NULL DEFAULT 1; ALTER TABLE wide ALTER c4 SET DEFAULT 2;
	ALTER TABLE wide ADD IF NOT EXISTS c5 int DEFAULT random(); ALTER TABLE wide ADD IF NOT EXISTS c61 int DEFAULT random()');
SELECT message FROM found((SELECT string_agg(format('ALTER TABLE agents ADD COLUMN IF NOT EXISTS c%s int DEFAULT random()', g % 70), '; ') FROM generate_series(1, 700) g)) LIMIT 3;
SELECT count(*) FROM found((SELECT string_agg(format('ALTER TABLE agents ADD COLUMN IF NOT EXISTS c%s int DEFAULT random()', g % 70), '; ') FROM generate_series(1, 700) g));

-- Functions with their owner's rights: of many, those that are left so.
SELECT count(*), min(message), max(message) FROM found(
	(SELECT string_agg(format('CREATE FUNCTION f%s() RETURNS int SECURITY DEFINER LANGUAGE sql AS ''SELECT 1'';', g), '') FROM generate_series(100, 199) g) ||
	(SELECT string_agg(format('CREATE OR REPLACE FUNCTION f%s() RETURNS int SECURITY DEFINER LANGUAGE sql SET search_path = a AS ''SELECT 1'';', g), '') FROM generate_series(100, 150) g) ||
	'CREATE OR REPLACE FUNCTION f151() RETURNS int LANGUAGE sql AS ''SELECT 1''; CREATE FUNCTION f152(int) RETURNS int LANGUAGE sql AS ''SELECT 1''');

-- Types that the script makes: each by its name and schema.
SELECT * FROM found_after((SELECT string_agg(format('CREATE DOMAIN gone%s AS int CHECK (VALUE > 0);', g), '') FROM generate_series(1, 100) g) ||
	'CREATE DOMAIN free AS int; ALTER TABLE agents ADD a gone7; ALTER TABLE agents ADD b free; ALTER TABLE agents ADD c lint_other.gone7');

-- What is alike in many statements is worked out once: each keeps its own place, names and numbers.
SELECT statement, line, level, relation, message FROM tapmig.lint(E'CREATE INDEX a ON agents (id);\nCREATE INDEX b ON agents (id);\n\nCREATE INDEX c ON wide (c1); CREATE INDEX d ON agents (id);
ALTER TABLE agents RENAME TO people; CREATE INDEX e ON people (id); TRUNCATE people; CREATE INDEX f ON people (id); CREATE INDEX g ON wide (c1)') WHERE rule = 'index-create-not-concurrent';
SELECT statement, rule, message FROM tapmig.lint('DROP TABLE wide CASCADE; ALTER TABLE agents ADD CONSTRAINT a FOREIGN KEY (code) REFERENCES agents; CREATE INDEX ON agents (name); ALTER TABLE agents ADD CONSTRAINT b FOREIGN KEY (id) REFERENCES agents') WHERE rule LIKE 'fk-%';
CREATE TABLE ranged (k int) PARTITION BY RANGE (k);
CREATE TABLE part (k int NOT NULL, at timestamptz, long varchar(9), short varchar(9), fine numeric(6,2), bits varbit(4));
INSERT INTO part VALUES (12, now(), 'x', 'y', 1, '1');
SELECT * FROM found_after('ALTER TABLE part ADD CHECK (k < 20), ADD CHECK (k >= 9), ADD CHECK (k >= 10), ADD CHECK (k >= 3); ALTER TABLE ranged ATTACH PARTITION part FOR VALUES FROM (10) TO (20)') WHERE rule LIKE 'partition%';
SELECT * FROM found_after('ALTER TABLE part ADD CHECK (k < 20), ADD CHECK (k >= 9), ADD CHECK (k >= 3); ALTER TABLE ranged ATTACH PARTITION part FOR VALUES FROM (10) TO (20)') WHERE rule LIKE 'partition%';
CREATE FUNCTION drifts(timestamptz, int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT $1 > now() - $2 * interval ''1 d''';
CREATE OPERATOR >>> (FUNCTION = drifts, LEFTARG = timestamptz, RIGHTARG = int);
SELECT * FROM found_after('ALTER TABLE part ADD CONSTRAINT a CHECK (at >>> 1); ALTER TABLE part ADD CONSTRAINT b CHECK (k > 1); ALTER TABLE part ADD CONSTRAINT c CHECK (at >>> 2); ALTER TABLE part ADD CONSTRAINT d CHECK (at >>> 3)') WHERE rule LIKE '%volatile%';
SELECT * FROM found_after('ALTER TABLE part ALTER long TYPE varchar(10); ALTER TABLE part ALTER short TYPE varchar(8); ALTER TABLE part ALTER long TYPE varchar(20); ALTER TABLE part ALTER long TYPE varchar; ALTER TABLE part ALTER long TYPE varchar(99); ALTER TABLE part ALTER fine TYPE numeric(8,2); ALTER TABLE part ALTER fine TYPE numeric(9,3); ALTER TABLE part ALTER fine TYPE numeric(5,3); ALTER TABLE part ALTER bits TYPE varbit(5), ALTER short TYPE varchar(9)[]; ALTER TABLE part ALTER bits TYPE varbit(3)') WHERE rule LIKE 'alter-type%';

-- A script that cannot be read, and a cancel, leave no subtransaction behind.
CREATE TABLE kept (a int);
DO $$
BEGIN
	INSERT INTO kept VALUES (1);
	BEGIN
		PERFORM tapmig.lint('ALTER TABLE agents ADD CHECK (id > 0); ALTER TABLE agents ADD CHECK (unknown(id)); no statement');
		RAISE EXCEPTION 'it was read';
	EXCEPTION WHEN syntax_error THEN
		INSERT INTO kept VALUES (2);
	END;
	PERFORM tapmig.lint('ALTER TABLE agents ADD CHECK (id > 0); SELECT 1; ALTER TABLE agents ADD CHECK (id > 1)');
	INSERT INTO kept VALUES (3);
END $$;
SELECT * FROM kept;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'agents'::regclass;
SHOW search_path;
DROP SCHEMA lint_large, lint_other CASCADE;
