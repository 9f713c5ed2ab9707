-- tapmig.lint: what a DROP of the script, absent objects, new definitions, schemas and names leave behind for later statements.
SET client_min_messages = warning;
CREATE SCHEMA lint_follow;
CREATE SCHEMA lint_follow_a;
SET search_path = lint_follow;
SET tapmig.lint_rows = 10;
CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION in_default() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION in_default(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION in_policy() RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE TABLE teams (id int PRIMARY KEY, name text);
CREATE TABLE agents (id int PRIMARY KEY, n int DEFAULT in_default(), a int, b int, c text, team int CONSTRAINT to_team REFERENCES teams,
	boss int CONSTRAINT to_boss REFERENCES agents);
CREATE TABLE boxes (id int PRIMARY KEY, name text);
INSERT INTO boxes SELECT i, i FROM generate_series(1, 50) i;
CREATE INDEX boxes_some ON boxes (name) WHERE name <> '';
CREATE INDEX boxes_name ON boxes (name);
CREATE TABLE badges (box int CONSTRAINT badges_box REFERENCES boxes);
CREATE FUNCTION atomic() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT min(c) FROM agents; END;
CREATE FUNCTION takes(agents) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION gives() RETURNS SETOF teams LANGUAGE sql AS 'SELECT * FROM teams';
CREATE TRIGGER seen BEFORE INSERT ON agents FOR EACH ROW WHEN (NEW.a > 0) EXECUTE FUNCTION on_insert();
CREATE TRIGGER seen BEFORE INSERT ON teams FOR EACH ROW EXECUTE FUNCTION on_insert();
CREATE POLICY guard ON agents USING (b > 0 AND in_policy());
CREATE RULE kept AS ON INSERT TO agents WHERE NEW.b < 0 DO ALSO NOTHING;
INSERT INTO teams SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO agents SELECT i, i, i, i, i, i, i FROM generate_series(1, 50) i;
CREATE TYPE mood AS ENUM ('a');
CREATE TABLE moods (id int, mood mood);
CREATE VIEW mood_view AS SELECT mood FROM moods;
CREATE SEQUENCE counter;
CREATE TABLE secured (id int, n int DEFAULT nextval('counter'));
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
INSERT INTO secured SELECT i FROM generate_series(1, 50) i;
CREATE TYPE place AS (id int, name varchar(20));
CREATE TABLE towns OF place;
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN over_pair AS pair;
CREATE TYPE outer_pair AS (p pair);
CREATE TABLE holds (p pair, q outer_pair, r over_pair, s pair[]);
CREATE VIEW holds_view AS SELECT p FROM holds;
CREATE TABLE rows_of_teams (t teams);
INSERT INTO moods SELECT i, 'a' FROM generate_series(1, 50) i;
SET client_min_messages = error;	-- wal_level; the text differs between versions
CREATE PUBLICATION lint_follow_pub FOR TABLE teams WHERE (name <> '');
SET client_min_messages = warning;
CREATE TABLE parted (k int NOT NULL, v int) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_d PARTITION OF parted DEFAULT;
CREATE INDEX ON parted (v);
CREATE INDEX parted_1_v ON parted_1 (v);
CREATE TABLE loose (k int NOT NULL CHECK (k = 2), v int);
INSERT INTO parted SELECT CASE WHEN i < 25 THEN 1 ELSE 5 END, i FROM generate_series(1, 50) i;
INSERT INTO loose SELECT 2, i FROM generate_series(1, 50) i;
CREATE TABLE parent (id int, v int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child SELECT i, i FROM generate_series(1, 50) i;
CREATE TABLE generated (a int, g int GENERATED ALWAYS AS (a + 1) STORED);
INSERT INTO generated SELECT i FROM generate_series(1, 50) i;
CREATE DOMAIN must AS int NOT NULL;
CREATE DOMAIN may AS int;
CREATE TABLE of_domains (a must, b may);
INSERT INTO of_domains SELECT i, i FROM generate_series(1, 50) i;
CREATE TYPE lint_follow_a.kind AS ENUM ('k');
CREATE TABLE lint_follow_a.agents (id int, kind lint_follow_a.kind);
CREATE TABLE lint_follow_a.rows (id int PRIMARY KEY, kind int);
CREATE TABLE uses_kind (id int, kind lint_follow_a.kind);
INSERT INTO uses_kind SELECT i, 'k' FROM generate_series(1, 50) i;
CREATE FUNCTION lint_follow_a.uses() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT min(id) FROM lint_follow.uses_kind; END;
INSERT INTO lint_follow_a.rows SELECT i, i FROM generate_series(1, 50) i;

CREATE TABLE cases (n int GENERATED ALWAYS AS IDENTITY, script text, finds text);
INSERT INTO cases (script, finds) VALUES
-- a DROP makes nothing else invisible, and one of what is absent changes nothing
('DROP FUNCTION other(); DROP FUNCTION on_insert()',
	'2:alter-type-dependent-objects=error'),
('DROP FUNCTION IF EXISTS nothing(); DROP FUNCTION on_insert()',
	'2:alter-type-dependent-objects=error'),
('DROP FUNCTION on_insert() CASCADE; DROP FUNCTION in_policy()',
	'1:drop-cascade=warning 1:drop-trigger=warning 1:drop-trigger=warning 2:alter-type-dependent-objects=error'),
('DROP FUNCTION in_policy() CASCADE; ALTER TABLE agents ALTER b TYPE bigint',
	'1:drop-cascade=warning 2:alter-type-dependent-objects=error 2:alter-type-rewrite=error'),
('DROP TRIGGER seen ON teams; DROP FUNCTION on_insert()',
	'1:drop-trigger=warning 2:alter-type-dependent-objects=error'),
('DROP TRIGGER seen ON teams; DROP TRIGGER seen ON agents; DROP FUNCTION on_insert()',
	'1:drop-trigger=warning 2:drop-trigger=warning 2:wide-lock-window=warning'),
('DROP TRIGGER IF EXISTS nothing ON agents; ALTER TABLE agents ALTER a TYPE bigint',
	'2:alter-type-dependent-objects=error 2:alter-type-rewrite=error'),
('DROP TRIGGER seen ON agents; ALTER TABLE agents ALTER a TYPE bigint',
	'1:drop-trigger=warning 2:alter-type-rewrite=error'),
('DROP TRIGGER seen ON agents; ALTER TABLE agents ALTER b TYPE bigint',
	'1:drop-trigger=warning 2:alter-type-dependent-objects=error 2:alter-type-rewrite=error'),
('DROP POLICY guard ON agents; ALTER TABLE agents ALTER b TYPE bigint',
	'1:rls-policy-rule-owner-changes=warning 2:alter-type-dependent-objects=error 2:alter-type-rewrite=error'),
('DROP POLICY guard ON agents; DROP RULE kept ON agents; ALTER TABLE agents ALTER b TYPE bigint; DROP FUNCTION in_policy()',
	'1:rls-policy-rule-owner-changes=warning 2:rls-policy-rule-owner-changes=warning 3:alter-type-rewrite=error'),
('DROP POLICY IF EXISTS nothing ON agents; DROP RULE IF EXISTS nothing ON agents; DROP POLICY IF EXISTS guard ON nothing; CREATE INDEX ON agents (a)',
	'4:index-create-not-concurrent=error'),
('DROP POLICY guard ON agents; ALTER TABLE agents ENABLE ROW LEVEL SECURITY',
	'1:rls-policy-rule-owner-changes=warning 2:rls-policy-rule-owner-changes=error'),
('DROP POLICY IF EXISTS nothing ON agents; ALTER TABLE agents ENABLE ROW LEVEL SECURITY', ''),
('DROP FUNCTION in_default(int); DROP FUNCTION in_default()',
	'2:alter-type-dependent-objects=error'),
('DROP FUNCTION other(), other(); DROP FUNCTION other()', ''),
-- DROP ... CASCADE takes the triggers, columns, defaults along
('DROP FUNCTION on_insert() CASCADE; ALTER TABLE agents ALTER a TYPE bigint',
	'1:drop-cascade=warning 1:drop-trigger=warning 1:drop-trigger=warning 2:alter-type-rewrite=error 2:statement-after-access-exclusive=warning'),
('DROP FUNCTION on_insert() CASCADE; CREATE INDEX ON moods (id)',
	'1:drop-cascade=warning 1:drop-trigger=warning 1:drop-trigger=warning 2:index-create-not-concurrent=error 2:statement-after-access-exclusive=warning'),
('DROP FUNCTION in_default() CASCADE; ALTER TABLE agents ALTER n TYPE bigint',
	'1:drop-cascade=warning 2:alter-type-rewrite=error'),
('DROP VIEW mood_view; DROP TYPE mood CASCADE; ALTER TABLE moods ADD mood text; ALTER TABLE moods ALTER mood SET NOT NULL',
	'4:set-not-null-scan=error'),
('DROP TYPE mood CASCADE; DROP VIEW IF EXISTS mood_view; ALTER TABLE moods DROP IF EXISTS mood',
	'1:drop-cascade=error'),
('DROP TABLE towns; DROP TYPE place; CREATE TABLE towns (id int); ALTER TABLE towns ALTER id TYPE bigint', ''),
-- a row type that is stored somewhere
('ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint CASCADE',
	'1:alter-type-dependent-objects=error'),
('ALTER TYPE pair DROP ATTRIBUTE a; ALTER TYPE pair ADD ATTRIBUTE c int', ''),
('ALTER TABLE holds DROP q, DROP r, DROP s; ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint',
	'2:alter-type-dependent-objects=error'),
('DROP VIEW holds_view; ALTER TABLE holds DROP p, DROP r, DROP s; ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint',
	'3:alter-type-dependent-objects=error'),
('DROP VIEW holds_view; ALTER TABLE holds DROP p, DROP q, DROP r, DROP s; ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint', ''),
('DROP PUBLICATION lint_follow_pub; ALTER TABLE teams ALTER id TYPE int, ALTER name TYPE varchar',
	'2:alter-type-fk-recheck=warning'),
('DROP TABLE rows_of_teams; ALTER TABLE agents DROP CONSTRAINT to_team; ALTER TABLE teams ALTER id TYPE bigint',
	'2:drop-constraint=warning 3:alter-type-rewrite=error'),
('ALTER TABLE agents DROP CONSTRAINT to_team; ALTER TABLE teams ALTER id TYPE bigint',
	'1:drop-constraint=warning 2:alter-type-dependent-objects=error 2:alter-type-rewrite=error'),
-- another definition need not depend on what the old one did
('ALTER TABLE agents DROP c',
	'1:alter-type-dependent-objects=error'),
('CREATE OR REPLACE FUNCTION atomic() RETURNS text LANGUAGE sql AS $$SELECT 1$$; ALTER TABLE agents DROP c', ''),
('CREATE OR REPLACE FUNCTION other() RETURNS int LANGUAGE sql AS $$SELECT 2$$; ALTER TABLE agents DROP c',
	'2:alter-type-dependent-objects=error'),
('CREATE OR REPLACE FUNCTION gives() RETURNS SETOF teams LANGUAGE sql AS $$SELECT 1, 2$$; ALTER TABLE agents DROP CONSTRAINT to_team; DROP TABLE rows_of_teams; DROP TABLE teams',
	'2:drop-constraint=warning 4:alter-type-dependent-objects=error'),
('CREATE OR REPLACE TRIGGER seen BEFORE INSERT ON agents FOR EACH ROW EXECUTE FUNCTION on_insert(); ALTER TABLE agents ALTER a TYPE bigint',
	'1:create-trigger=warning 2:alter-type-rewrite=error 2:statement-after-write-block=notice'),
('CREATE OR REPLACE RULE kept AS ON INSERT TO agents DO ALSO NOTHING; ALTER POLICY guard ON agents USING (true); ALTER TABLE agents ALTER b TYPE bigint; DROP FUNCTION in_policy()',
	'1:rls-policy-rule-owner-changes=warning 2:rls-policy-rule-owner-changes=warning 3:alter-type-rewrite=error'),
('CREATE OR REPLACE TRIGGER seen BEFORE INSERT ON agents FOR EACH ROW EXECUTE FUNCTION on_insert(); DROP TRIGGER seen ON agents',
	'1:create-trigger=warning 2:drop-trigger=warning'),
('ALTER TABLE teams ALTER name TYPE varchar(9)',
	'1:alter-type-dependent-objects=error 1:alter-type-rewrite=error'),
('DROP TABLE rows_of_teams; ALTER PUBLICATION lint_follow_pub DROP TABLE teams; ALTER TABLE teams ALTER name TYPE varchar(9)',
	'3:alter-type-rewrite=error'),
('DROP TABLE rows_of_teams; DROP PUBLICATION lint_follow_pub; ALTER TABLE teams ALTER name TYPE varchar(9)',
	'3:alter-type-rewrite=error'),
('DROP PUBLICATION IF EXISTS nothing; ALTER TABLE teams ALTER name TYPE varchar(9)',
	'2:alter-type-dependent-objects=error 2:alter-type-rewrite=error'),
-- row security: switched off, or on without a policy
('ALTER TABLE secured DISABLE ROW LEVEL SECURITY',
	'1:rls-policy-rule-owner-changes=error'),
('ALTER TABLE moods DISABLE ROW LEVEL SECURITY', ''),
('ALTER TABLE moods ENABLE ROW LEVEL SECURITY; ALTER TABLE moods DISABLE ROW LEVEL SECURITY',
	'2:rls-policy-rule-owner-changes=error'),
('ALTER TABLE moods ENABLE ROW LEVEL SECURITY',
	'1:rls-policy-rule-owner-changes=error'),
('ALTER TABLE moods ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON moods USING (true)',
	'2:rls-policy-rule-owner-changes=warning'),
('ALTER TABLE moods ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON moods USING (true); DROP POLICY IF EXISTS q ON moods',
	'2:rls-policy-rule-owner-changes=warning'),
('ALTER TABLE moods ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON moods USING (true); DROP POLICY p ON moods',
	'1:rls-policy-rule-owner-changes=error 2:rls-policy-rule-owner-changes=warning'),
('CREATE TABLE new (id int); ALTER TABLE new ENABLE ROW LEVEL SECURITY; ALTER TABLE new DISABLE ROW LEVEL SECURITY; ALTER TABLE new ENABLE ROW LEVEL SECURITY', ''),
-- columns and types that are not there
('ALTER TABLE agents ALTER nothing TYPE bigint; ALTER TABLE agents ADD x nothing; ALTER TABLE agents ALTER x TYPE bigint; ALTER TABLE agents ALTER team TYPE nothing', ''),
('ALTER TABLE agents ADD x nothing; ALTER TABLE agents ALTER x TYPE bigint USING 1', ''),
('CREATE TYPE shade AS ENUM (''a''); ALTER TABLE moods ALTER id TYPE shade; ALTER TABLE moods ALTER id TYPE bigint',
	'2:alter-type-rewrite=error'),
-- a constraint without an index may have the name of one
('ALTER TABLE agents ADD CONSTRAINT i FOREIGN KEY (a) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY i ON agents (a); ALTER TABLE agents DROP CONSTRAINT i; ALTER TABLE agents ADD FOREIGN KEY (a) REFERENCES teams NOT VALID',
	'1:fk-locks-referenced-table=warning 4:fk-locks-referenced-table=warning'),
('CREATE INDEX CONCURRENTLY i ON agents (a); ALTER TABLE agents ADD CONSTRAINT i CHECK (a > 0) NOT VALID; ALTER TABLE agents DROP CONSTRAINT i; ALTER TABLE agents ADD FOREIGN KEY (a) REFERENCES teams NOT VALID',
	'4:fk-locks-referenced-table=warning'),
('CREATE TABLE new (a int REFERENCES teams, CONSTRAINT i CHECK (a > 0)); CREATE INDEX i ON new (a); ALTER TABLE new DROP CONSTRAINT i',
	'1:fk-locks-referenced-table=warning'),
('ALTER TABLE agents DROP CONSTRAINT to_boss; ALTER TABLE agents ADD FOREIGN KEY (id) REFERENCES teams NOT VALID',
	'1:drop-constraint=warning 2:fk-locks-referenced-table=warning'),
('CREATE UNIQUE INDEX CONCURRENTLY i ON agents (a); ALTER TABLE agents ADD CONSTRAINT k UNIQUE USING INDEX i; ALTER TABLE agents DROP CONSTRAINT k; ALTER TABLE agents ADD FOREIGN KEY (a) REFERENCES teams NOT VALID',
	'4:fk-locks-referenced-table=warning 4:fk-missing-index=warning'),
('CREATE UNIQUE INDEX CONCURRENTLY i ON agents (a); ALTER TABLE agents ADD CONSTRAINT k UNIQUE USING INDEX i; ALTER INDEX k RENAME TO j; ALTER TABLE agents DROP CONSTRAINT j; ALTER TABLE agents ADD FOREIGN KEY (a) REFERENCES teams NOT VALID',
	'5:fk-locks-referenced-table=warning 5:fk-missing-index=warning'),
('CREATE UNIQUE INDEX CONCURRENTLY i ON agents (a); ALTER TABLE agents ADD CONSTRAINT k UNIQUE USING INDEX i; ALTER TABLE agents RENAME CONSTRAINT k TO j; DROP INDEX i; ALTER TABLE agents ADD FOREIGN KEY (a) REFERENCES teams NOT VALID',
	'5:fk-locks-referenced-table=warning'),
('ALTER INDEX agents_pkey RENAME TO j; ALTER TABLE agents DROP CONSTRAINT to_boss, DROP CONSTRAINT j; ALTER TABLE agents ADD FOREIGN KEY (id) REFERENCES teams NOT VALID',
	'2:drop-constraint=warning 2:drop-constraint=warning 3:fk-locks-referenced-table=warning 3:fk-missing-index=warning'),
('CREATE TABLE new (id int); CREATE UNIQUE INDEX i ON new (id); ALTER TABLE new ADD PRIMARY KEY USING INDEX i; ALTER TABLE new DROP CONSTRAINT i; ALTER TABLE new ADD FOREIGN KEY (id) REFERENCES teams',
	'5:fk-locks-referenced-table=warning 5:fk-missing-index=notice'),
('CREATE UNIQUE INDEX CONCURRENTLY i ON agents (a); ALTER TABLE agents DROP CONSTRAINT agents_pkey CASCADE, ADD PRIMARY KEY USING INDEX i; ALTER TABLE agents ALTER a SET NOT NULL',
	'2:add-pk-using-index-nullable=error 2:drop-cascade=warning 2:drop-constraint=warning'),
-- partitions and children that come and go
('ALTER TABLE parted DETACH PARTITION parted_d; CREATE TABLE parted_3 PARTITION OF parted FOR VALUES IN (3)',
	'1:partition-detach-not-concurrent=warning 2:partition-create-of-locks-parent=warning'),
('ALTER TABLE parted DETACH PARTITION parted_d; ALTER TABLE parted ATTACH PARTITION parted_d DEFAULT; CREATE TABLE parted_3 PARTITION OF parted FOR VALUES IN (3)',
	'1:partition-detach-not-concurrent=warning 2:partition-attach-scan=error 2:statement-after-access-exclusive=warning 3:partition-create-of-locks-parent=warning 3:partition-default-scan=error 3:statement-after-access-exclusive=warning'),
('DROP TABLE parted_1, parted_d; ALTER TABLE parted ADD CHECK (v > 0)',
	'1:partition-detach-not-concurrent=warning 1:partition-detach-not-concurrent=warning'),
('TRUNCATE parted_1, parted_d; ALTER TABLE parted ADD CHECK (v > 0)', ''),
('TRUNCATE parted_1; ALTER TABLE parted ADD CHECK (v > 0)',
	'2:check-not-not-valid=error 2:partitioned-ddl-fanout=notice 2:statement-after-access-exclusive=warning 2:wide-lock-window=warning'),
-- a table that the script has emptied is new to it, and locked for the others
('SET lock_timeout = 0; TRUNCATE moods',
	'2:missing-lock-timeout=warning'),
('TRUNCATE moods; CREATE INDEX ON teams (name)',
	'2:index-create-not-concurrent=error 2:statement-after-access-exclusive=warning'),
('TRUNCATE moods; TRUNCATE secured',
	'2:wide-lock-window=warning'),
('TRUNCATE moods; CREATE INDEX ON moods (id); ALTER TABLE moods ADD CHECK (id > 0)', ''),
('DROP TABLE parted; ALTER TABLE parted_1 ADD CHECK (v > 0); DROP TABLE IF EXISTS parted_d', ''),
('ALTER TABLE parted_1 RENAME TO old; DROP TABLE parted',
	'2:wide-lock-window=warning'),
('DROP TABLE badges; CREATE INDEX ON boxes (name)',
	'1:drop-table-locks-referenced=warning 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error'),
('CREATE TABLE new (a int REFERENCES teams); ALTER TABLE new DROP CONSTRAINT new_a_fkey',
	'1:fk-locks-referenced-table=warning'),
('CREATE TABLE new (a int REFERENCES teams); DROP TABLE teams CASCADE',
	'1:fk-locks-referenced-table=warning 2:drop-cascade=error 2:drop-table-locks-referenced=warning'),
-- what goes by CASCADE was locked
('DROP SEQUENCE counter CASCADE; CREATE INDEX ON teams (name)',
	'1:drop-cascade=warning 2:index-create-not-concurrent=error 2:statement-after-access-exclusive=warning'),
('DROP SCHEMA lint_follow_a CASCADE; ALTER TABLE moods ADD z int',
	'2:wide-lock-window=warning'),
('ALTER TABLE child NO INHERIT parent; ALTER TABLE parent ADD CHECK (v > 0)', ''),
('ALTER TABLE parent ADD CHECK (v > 0)',
	'1:check-not-not-valid=error'),
('CREATE TABLE new (k int NOT NULL, v int) PARTITION BY LIST (k); ALTER TABLE new ATTACH PARTITION loose FOR VALUES IN (2); CREATE INDEX ON new (v)',
	'3:index-create-partitioned-fanout=error 3:statement-after-access-exclusive=warning'),
('CREATE TABLE new (k int NOT NULL, v int) PARTITION BY LIST (k); ALTER TABLE new ATTACH PARTITION loose FOR VALUES IN (2); CREATE INDEX ON ONLY new (v); ALTER TABLE new DETACH PARTITION loose; CREATE INDEX ON new (v)', ''),
('CREATE TABLE new (id int, v int); ALTER TABLE child INHERIT new; ALTER TABLE new ADD CHECK (v > 0)',
	'3:check-not-not-valid=error 3:statement-after-access-exclusive=warning'),
-- what the script has proven of a parent is so of its children
('ALTER TABLE parent ALTER id SET NOT NULL; ALTER TABLE child ALTER id SET NOT NULL',
	'1:set-not-null-scan=error'),
('ALTER TABLE ONLY parent ALTER id SET NOT NULL; ALTER TABLE child ALTER id SET NOT NULL',
	'2:set-not-null-scan=error 2:statement-after-access-exclusive=warning'),
('ALTER TABLE parent ALTER id SET NOT NULL; ALTER TABLE child NO INHERIT parent; ALTER TABLE child ALTER id DROP NOT NULL, ALTER id SET NOT NULL',
	'1:set-not-null-scan=error 3:set-not-null-scan=error'),
('ALTER TABLE parted ADD CONSTRAINT c CHECK (v IS NOT NULL) NOT VALID; VACUUM moods; ALTER TABLE parted VALIDATE CONSTRAINT c; VACUUM moods; ALTER TABLE parted_1 ALTER v SET NOT NULL',
	'1:partitioned-ddl-fanout=notice 3:partitioned-ddl-fanout=notice 3:validate-constraint-scan=notice'),
('ALTER TABLE parted ADD CONSTRAINT c CHECK (v IS NOT NULL) NOT VALID; VACUUM moods; ALTER TABLE parted_1 ALTER v SET NOT NULL',
	'1:partitioned-ddl-fanout=notice 3:set-not-null-scan=error'),
('ALTER TABLE parent ADD CONSTRAINT c CHECK (v IS NOT NULL) NO INHERIT; VACUUM moods; ALTER TABLE child ALTER v SET NOT NULL',
	'3:set-not-null-scan=error'),
-- a temporary table until its transaction ends, a function by its new name
('BEGIN; CREATE TEMP TABLE moods (id int) ON COMMIT DROP; CREATE INDEX ON moods (id); COMMIT; CREATE INDEX ON moods (id)',
	'5:index-create-not-concurrent=error'),
('BEGIN; CREATE TEMP TABLE moods (id int); COMMIT; CREATE INDEX ON moods (id)', ''),
('ALTER FUNCTION on_insert() RENAME TO on_row; DROP FUNCTION IF EXISTS on_insert()', ''),
-- what makes something where nothing is, along the search_path
('SET search_path = lint_follow_a, lint_follow; CREATE TABLE IF NOT EXISTS teams (id int); CREATE INDEX ON teams (id)', ''),
('SET search_path = lint_follow_a, lint_follow; CREATE OR REPLACE VIEW mood_view AS SELECT 1 AS a; DROP VIEW mood_view; ALTER TABLE moods ALTER mood TYPE text',
	'4:alter-type-dependent-objects=error 4:alter-type-rewrite=error'),
('ALTER TABLE moods SET SCHEMA lint_follow_a; CREATE INDEX moods_i ON teams (name); ALTER TABLE agents SET SCHEMA lint_follow_a; CREATE INDEX IF NOT EXISTS agents_pkey ON teams (name)',
	'1:rename-or-set-schema=error 2:index-create-not-concurrent=error 2:statement-after-access-exclusive=warning 3:rename-or-set-schema=error 3:wide-lock-window=warning 4:index-create-not-concurrent=error 4:statement-after-access-exclusive=warning'),
-- types by their new names, an index that is gone, a domain that is NOT NULL already
('ALTER TYPE mood RENAME TO feeling; DROP TYPE feeling',
	'2:alter-type-dependent-objects=error'),
('ALTER TYPE mood RENAME TO feeling; DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM (''a''); DROP VIEW mood_view; ALTER TABLE moods ALTER mood TYPE mood USING mood::text::mood; DROP TYPE feeling',
	'5:alter-type-rewrite=error'),
('ALTER TYPE mood SET SCHEMA lint_follow_a; DROP TYPE lint_follow_a.mood',
	'1:rename-or-set-schema=error 2:alter-type-dependent-objects=error'),
('ALTER TYPE pair RENAME TO couple; ALTER TYPE couple ALTER ATTRIBUTE a TYPE bigint',
	'2:alter-type-dependent-objects=error'),
('ALTER DOMAIN must RENAME TO needs; ALTER DOMAIN needs ADD CHECK (VALUE > 0)',
	'2:domain-add-constraint=error'),
('ALTER DOMAIN must SET NOT NULL; ALTER DOMAIN may SET NOT NULL; ALTER DOMAIN may SET NOT NULL; ALTER DOMAIN may DROP NOT NULL; ALTER DOMAIN may SET NOT NULL',
	'2:domain-add-constraint=error 5:domain-add-constraint=error'),
('ALTER DOMAIN must DROP NOT NULL; ALTER DOMAIN must SET NOT NULL',
	'2:domain-add-constraint=error'),
('ALTER TABLE agents DROP CONSTRAINT to_boss, DROP CONSTRAINT agents_pkey; REINDEX TABLE agents',
	'1:drop-constraint=warning 1:drop-constraint=warning'),
-- schemas that are dropped, made anew, renamed
('DROP SCHEMA lint_follow_a CASCADE; CREATE SCHEMA lint_follow_a; CREATE TABLE lint_follow_a.rows (id int); CREATE INDEX ON lint_follow_a.rows (id); CREATE INDEX ON rows (id)', ''),
('SET search_path = lint_follow_a, lint_follow; DROP SCHEMA lint_follow_a CASCADE; CREATE SCHEMA lint_follow_a; CREATE TABLE agents (a int); CREATE INDEX ON agents (a); ALTER TABLE lint_follow.agents ADD CHECK (a > 0)',
	'6:check-not-not-valid=error 6:statement-after-access-exclusive=warning 6:wide-lock-window=warning'),
('SET search_path = lint_follow_a, lint_follow; CREATE INDEX ON rows (id); DROP SCHEMA lint_follow_a CASCADE; CREATE INDEX ON rows (id); CREATE INDEX ON agents (id)',
	'2:index-create-not-concurrent=error 5:index-create-not-concurrent=error 5:statement-after-access-exclusive=warning'),
('DROP SCHEMA lint_follow_a CASCADE; CREATE SCHEMA lint_follow_a CREATE TABLE rows (id int); CREATE INDEX ON lint_follow_a.rows (id)', ''),
('DROP SCHEMA IF EXISTS nothing CASCADE; CREATE SCHEMA IF NOT EXISTS lint_follow_a; CREATE INDEX ON lint_follow_a.rows (id)',
	'3:index-create-not-concurrent=error'),
('CREATE SCHEMA new; CREATE TABLE new.t (id int); DROP SCHEMA new CASCADE; CREATE SCHEMA newer; CREATE TABLE newer.t (id int); ALTER TABLE newer.t ADD x int NOT NULL', ''),
('CREATE SCHEMA new; CREATE SCHEMA newer; DROP SCHEMA newer; SET search_path = new, lint_follow; CREATE TABLE agents (id int); CREATE INDEX ON agents (id)', ''),
('CREATE SCHEMA new; CREATE TABLE new.moods (id int); SET search_path = new, lint_follow; DROP SCHEMA new CASCADE; CREATE SCHEMA new; CREATE INDEX ON moods (id)',
	'6:index-create-not-concurrent=error'),
('ALTER TABLE uses_kind DROP COLUMN id',
	'1:alter-type-dependent-objects=error'),
('ALTER TABLE uses_kind DROP COLUMN kind; DROP SCHEMA lint_follow_a CASCADE; ALTER TABLE uses_kind DROP COLUMN id',
	'2:wide-lock-window=warning'),
('ALTER SCHEMA lint_follow_a RENAME TO b; CREATE INDEX ON b.rows (id); CREATE INDEX ON lint_follow_a.rows (id)',
	'1:rename-or-set-schema=error 2:index-create-not-concurrent=error'),
('CREATE INDEX ON lint_follow_a.rows (id); ALTER SCHEMA lint_follow_a RENAME TO b; ALTER TABLE b.rows ADD CHECK (id > 0); CREATE SCHEMA lint_follow_a; CREATE TABLE lint_follow_a.rows (id int); ALTER TABLE lint_follow_a.rows ADD CHECK (id > 0)',
	'1:index-create-not-concurrent=error 2:rename-or-set-schema=error 3:check-not-not-valid=error 3:statement-after-write-block=notice'),
('CREATE SCHEMA new; CREATE TABLE new.t (id int); ALTER SCHEMA new RENAME TO newer; ALTER TABLE newer.t ADD CHECK (id > 0); DROP TABLE newer.t; CREATE TABLE newer.t (id int); ALTER TABLE newer.t ADD CHECK (id > 0)', ''),
('DROP TABLE lint_follow_a.agents; ALTER SCHEMA lint_follow_a RENAME TO b; CREATE INDEX ON b.agents (id); ALTER SCHEMA b RENAME TO lint_follow_a; CREATE INDEX ON lint_follow_a.rows (id)',
	'2:rename-or-set-schema=error 4:rename-or-set-schema=error 5:index-create-not-concurrent=error'),
('CREATE SCHEMA lint_follow_b; ALTER SCHEMA lint_follow_b RENAME TO lint_follow_c; DROP SCHEMA lint_follow_c', ''),
-- where a new value of an enum is used, run ends the transaction, and gives back what it has locked
('ALTER TABLE boxes ADD x int; ALTER TYPE mood ADD VALUE ''b''; UPDATE moods SET mood = ''b''; CREATE INDEX ON boxes (name); UPDATE boxes SET x = 1',
	'3:dml-without-where=warning 3:enum-add-value-use-same-tx=warning 4:index-create-not-concurrent=error 5:dml-without-where=warning 5:statement-after-write-block=notice'),
('ALTER TABLE boxes ADD x int; ALTER TYPE mood ADD VALUE ''b''; UPDATE moods SET mood = ''a''; CREATE INDEX ON boxes (name)',
	'3:dml-without-where=warning 3:statement-after-access-exclusive=warning 4:index-create-not-concurrent=error 4:index-in-tx-after-exclusive-lock=error'),
('ALTER TYPE mood ADD VALUE ''b''; ALTER TYPE mood ADD VALUE ''c''; ALTER TABLE moods ADD CHECK (mood <> ''b''); ALTER TABLE moods ADD CHECK (mood <> ''c''); ALTER TABLE boxes ADD x int',
	'3:check-not-not-valid=error 3:enum-add-value-use-same-tx=warning 4:check-not-not-valid=error 5:wide-lock-window=warning'),
('CREATE TEMP TABLE passing (m mood) ON COMMIT DROP; ALTER TYPE mood ADD VALUE ''b''; SELECT ''b''::mood; CREATE INDEX ON boxes (name)',
	'3:enum-add-value-use-same-tx=warning 4:index-create-not-concurrent=error'),
-- its foreign keys are made anew with a column, though nothing is written or read
('CREATE TABLE n (id int CONSTRAINT n_team REFERENCES teams); ALTER TABLE n ALTER id TYPE bigint; CREATE INDEX ON teams (name)',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=notice 2:alter-type-fk-recheck=warning 3:index-create-not-concurrent=error 3:index-in-tx-after-exclusive-lock=error'),
('ALTER TABLE moods ALTER id TYPE int; CREATE INDEX ON teams (name)',
	'2:index-create-not-concurrent=error 2:statement-after-access-exclusive=warning'),
('CREATE DOMAIN d AS int; CREATE TABLE n (id int CONSTRAINT n_team REFERENCES teams); ALTER TABLE n ALTER id TYPE d; CREATE INDEX ON teams (name)',
	'2:fk-locks-referenced-table=warning 2:fk-missing-index=notice 3:alter-type-fk-recheck=warning 4:index-create-not-concurrent=error 4:index-in-tx-after-exclusive-lock=error'),
-- a column whose type is not known any more
('CREATE DOMAIN d AS int; ALTER TABLE agents ALTER b TYPE d; ALTER TABLE agents ALTER b TYPE bigint',
	'2:alter-type-dependent-objects=error 2:alter-type-rewrite=error 3:alter-type-dependent-objects=error'),
-- a partial index is built anew, whatever else would be a reason
('ALTER TABLE boxes ALTER name TYPE text COLLATE "C"',
	'1:alter-type-index-rebuild=error 1:collation-change=error'),
('CREATE INDEX moods_id ON moods (id) WHERE id > 0; ALTER TABLE moods ALTER id TYPE may',
	'1:index-create-not-concurrent=error 2:alter-type-index-rebuild=error 2:statement-after-write-block=notice'),
('CREATE UNIQUE INDEX moods_id ON moods (id); ALTER TABLE moods ALTER id TYPE oid',
	'1:index-create-not-concurrent=error 2:alter-type-index-rebuild=error 2:statement-after-write-block=notice'),
('CREATE INDEX boxes_new ON boxes (name); DROP INDEX boxes_some; DROP INDEX boxes_name; ALTER TABLE boxes ALTER name TYPE text COLLATE "C"',
	'1:index-create-not-concurrent=error 2:index-drop-not-concurrent=warning 3:index-drop-not-concurrent=warning 4:collation-change=error'),
('CREATE INDEX moods_id ON moods (id); ALTER TABLE moods ALTER id TYPE may',
	'1:index-create-not-concurrent=error'),
('ALTER TABLE parent DROP CONSTRAINT IF EXISTS nothing; CREATE INDEX ON child (v)',
	'2:index-create-not-concurrent=error'),
('ALTER TABLE parted DROP CONSTRAINT IF EXISTS nothing; CREATE INDEX ON parted_1 (k)',
	'1:partitioned-ddl-fanout=notice 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error 2:statement-after-access-exclusive=warning'),
-- what goes down to the children is locked there too; so is the default partition with each other one
('ALTER TABLE parent ADD x int; CREATE INDEX ON child (v)',
	'2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error'),
('ALTER TABLE ONLY parent ALTER v SET DEFAULT 1; CREATE INDEX ON child (v)',
	'1:column-default-change=notice 2:index-create-not-concurrent=error'),
('ALTER TABLE parent ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON parent USING (true); CREATE INDEX ON child (v)',
	'3:index-create-not-concurrent=error'),
('ALTER TABLE parent ADD x int; VACUUM parent; CREATE INDEX ON child (v)',
	'3:index-create-not-concurrent=error'),
('ALTER TABLE parent RENAME v TO w; CREATE INDEX ON child (w)',
	'1:rename-column=error 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error'),
('ALTER TABLE parted ADD COLUMN IF NOT EXISTS v int, ALTER k SET NOT NULL; CREATE INDEX ON parted_1 (k)',
	'1:partitioned-ddl-fanout=notice 2:index-create-not-concurrent=error 2:statement-after-access-exclusive=warning'),
('ALTER TABLE parted ALTER v SET NOT NULL; CREATE INDEX ON parted_1 (k)',
	'1:partitioned-ddl-fanout=notice 1:set-not-null-scan=error 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error 2:statement-after-access-exclusive=warning'),
('LOCK TABLE parted IN ACCESS EXCLUSIVE MODE; CREATE INDEX ON parted_1 (k)',
	'1:lock-table=warning 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error 2:statement-after-access-exclusive=warning'),
('LOCK TABLE ONLY parted IN ACCESS EXCLUSIVE MODE; CREATE INDEX ON parted_1 (k)',
	'1:lock-table=warning 2:index-create-not-concurrent=error 2:statement-after-access-exclusive=warning'),
('CREATE TABLE parted_9 PARTITION OF parted FOR VALUES IN (9); CREATE INDEX ON parted_d (k)',
	'1:partition-create-of-locks-parent=warning 1:partition-default-scan=error 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error 2:statement-after-access-exclusive=warning'),
('DROP TABLE parted_1; CREATE INDEX ON parted_d (k)',
	'1:partition-detach-not-concurrent=warning 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error 2:statement-after-access-exclusive=warning'),
('DROP TABLE parted_1, parted', ''),
('ALTER TABLE parted DETACH PARTITION parted_1; DROP TABLE parted_1; CREATE INDEX ON parted_d (k)',
	'1:partition-detach-not-concurrent=warning 3:index-create-not-concurrent=error 3:index-in-tx-after-exclusive-lock=error 3:statement-after-access-exclusive=warning'),
('CREATE INDEX parted_k ON parted (k); CREATE INDEX ON parted_1 (k); CREATE INDEX ON teams (name)',
	'1:index-create-partitioned-fanout=error 2:index-create-not-concurrent=error 2:statement-after-write-block=notice 3:index-create-not-concurrent=error 3:statement-after-write-block=notice'),
('REINDEX TABLE teams; CREATE INDEX ON teams (name)',
	'1:index-reindex-not-concurrent=error 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error'),
('REINDEX INDEX teams_pkey; CREATE INDEX ON teams (name)',
	'1:index-reindex-not-concurrent=error 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error'),
-- a column's foreign keys go with it
('ALTER TABLE badges DROP box; CREATE INDEX ON boxes (name)',
	'1:drop-table-locks-referenced=warning 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error'),
('ALTER TABLE badges DROP CONSTRAINT badges_box; VACUUM boxes; ALTER TABLE badges DROP box; CREATE INDEX ON boxes (name)',
	'1:drop-constraint=warning 4:index-create-not-concurrent=error'),
-- a column of the script with a CHECK has a type
('ALTER TABLE boxes ADD x int CHECK (x > 5); ALTER TABLE boxes ALTER x TYPE int USING x + 1',
	'1:add-column-inline-check=error 2:alter-type-rewrite=error'),
('ALTER TABLE boxes ADD x bigserial; ALTER TABLE boxes ALTER x TYPE int',
	'1:add-column-serial-or-identity=error 2:alter-type-rewrite=error'),
('ALTER TABLE boxes ADD x serial; ALTER TABLE boxes ALTER x TYPE int',
	'1:add-column-serial-or-identity=error'),
-- the server's order of the parts of ALTER TABLE
('ALTER TABLE moods ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES teams NOT VALID, ALTER id TYPE may; CREATE INDEX ON teams (name)',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning 2:index-create-not-concurrent=error 2:statement-after-access-exclusive=warning'),
('ALTER TABLE boxes ALTER x SET NOT NULL, ADD x int DEFAULT 1',
	'1:set-not-null-scan=error'),
-- a generated column that is none any more
('ALTER TABLE generated ALTER a TYPE bigint',
	'1:alter-type-dependent-objects=error 1:alter-type-rewrite=error'),
('ALTER TABLE generated ALTER g DROP EXPRESSION; ALTER TABLE generated ALTER a TYPE bigint',
	'2:alter-type-rewrite=error'),
('ALTER TABLE generated DROP a',
	'1:alter-type-dependent-objects=error'),
('ALTER TABLE generated ALTER g DROP EXPRESSION; ALTER TABLE generated DROP a', ''),
-- the index of an exclusion constraint serves a foreign key
('CREATE TABLE n (team int CONSTRAINT n_team REFERENCES teams, EXCLUDE USING btree (team WITH =))',
	'1:fk-locks-referenced-table=warning'),
('CREATE TABLE n (team int CONSTRAINT n_team REFERENCES teams, EXCLUDE USING btree (team WITH =) WHERE (team > 5))',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=notice'),
('ALTER TABLE moods ADD CONSTRAINT e EXCLUDE USING btree (id WITH =); ALTER TABLE moods ADD FOREIGN KEY (id) REFERENCES teams NOT VALID',
	'1:add-exclusion-constraint=error 2:fk-locks-referenced-table=warning'),
('ALTER TABLE moods ADD CONSTRAINT e EXCLUDE USING btree (id WITH =); ALTER TABLE moods ADD FOREIGN KEY (id) REFERENCES teams NOT VALID; ALTER TABLE moods DROP CONSTRAINT e',
	'1:add-exclusion-constraint=error 2:fk-locks-referenced-table=warning 2:fk-missing-index=warning'),
-- the index of a partition is a part of the whole table's
('DROP INDEX parted_1_v_idx',
	'1:drop-constraint-backing-index=error 1:index-drop-not-concurrent=warning'),
('DROP INDEX parted_v_idx; DROP INDEX parted_1_v',
	'2:index-drop-not-concurrent=warning'),
-- a column with another name in each step
('ALTER TABLE boxes RENAME name TO called; VACUUM boxes; ALTER TABLE boxes RENAME called TO known',
	'1:rename-column=error 3:rename-column=error'),
('ALTER TABLE boxes RENAME name TO called; ALTER TABLE boxes RENAME called TO known',
	'1:rename-column=error'),
('ALTER TABLE boxes RENAME name TO called; VACUUM boxes; ALTER TABLE boxes RENAME called TO x; ALTER TABLE boxes RENAME x TO called',
	'1:rename-column=error'),
-- the same finding but for its level
('ALTER TABLE boxes ADD x int; UPDATE boxes SET x = 1; UPDATE boxes SET x = 1 WHERE id = 1; UPDATE boxes SET x = 1',
	'2:ddl-and-backfill-same-tx=error 2:dml-without-where=warning 3:ddl-and-backfill-same-tx=warning 4:ddl-and-backfill-same-tx=error 4:dml-without-where=warning');
SELECT n, script, finds AS expected, found
FROM cases, LATERAL (SELECT coalesce(string_agg(statement || ':' || rule || '=' || level, ' ' ORDER BY statement, rule), '') AS found
	FROM tapmig.lint(script)) AS f
WHERE found <> finds ORDER BY n;
SELECT count(*) FROM cases;
DROP SCHEMA lint_follow, lint_follow_a CASCADE;
DROP PUBLICATION lint_follow_pub;
