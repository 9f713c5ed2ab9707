-- tapmig.lint: what stands in the way of a DROP, what goes with it, and what the script has done about that before.
SET client_min_messages = warning;
CREATE SCHEMA lint_drops;
CREATE SCHEMA "lint Drops";
SET search_path = lint_drops;
CREATE TYPE mood AS ENUM ('a');
CREATE SEQUENCE counter;
CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION in_index(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION in_policy() RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE TABLE agents (id int PRIMARY KEY, mood mood, moods mood[], n int DEFAULT nextval('counter'), c text, d text, e text, u int);
CREATE TRIGGER seen BEFORE INSERT ON agents FOR EACH ROW EXECUTE FUNCTION on_insert();
CREATE POLICY guard ON agents USING (in_policy());
CREATE INDEX ON agents (in_index(n));
CREATE UNIQUE INDEX agents_u ON agents (u);
CREATE TABLE badges (agent int CONSTRAINT "badges Agent" REFERENCES agents, u int CONSTRAINT badges_u REFERENCES agents (u));
CREATE VIEW names AS SELECT c FROM agents;
CREATE VIEW "lint Drops"."The names" AS SELECT d FROM agents;
CREATE VIEW "lint Drops".names AS SELECT e FROM agents;
CREATE TABLE parted (k int, m mood, x int DEFAULT nextval('counter')) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE VIEW of_partition AS SELECT x FROM parted_1;
CREATE TABLE parent (y int);
CREATE TABLE child (y int) INHERITS (parent);
CREATE VIEW of_child AS SELECT y FROM child;
CREATE TYPE inner_pair AS (a int);
CREATE TYPE outer_pair AS (p inner_pair);
CREATE TABLE pairs (q outer_pair);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN over_positive AS positive;
CREATE COLLATION mine (locale = 'C');
CREATE TABLE of_collation (c text COLLATE mine);
CREATE FOREIGN DATA WRAPPER lint_drops_fdw;
CREATE SERVER lint_drops_server FOREIGN DATA WRAPPER lint_drops_fdw;
CREATE FOREIGN TABLE far (a int) SERVER lint_drops_server;

CREATE TABLE cases (n serial, script text, finds text);
INSERT INTO cases (script, finds) VALUES
-- what a table takes along does not stand in the way later
('DROP TABLE badges; DROP TABLE agents CASCADE; DROP TABLE parted CASCADE; DROP SEQUENCE counter; DROP FUNCTION on_insert(), in_policy(), in_index(int); DROP TYPE mood', ''),
('DROP SEQUENCE counter', '1: default value for column n of table agents, default value for column x of table parted, default value for column x of table parted_1'),
('ALTER TABLE agents ALTER n DROP DEFAULT; ALTER TABLE parted ALTER x DROP DEFAULT; DROP SEQUENCE counter', ''),
('ALTER TABLE agents ALTER n SET DEFAULT 1; ALTER TABLE parted ALTER x SET DEFAULT 1; DROP SEQUENCE counter', ''),
('ALTER TABLE agents DROP n; ALTER TABLE parted DROP x CASCADE; DROP SEQUENCE counter; DROP FUNCTION in_index(int)', ''),
('ALTER TABLE agents DROP n; DROP FUNCTION in_index(int)', ''),
('DROP FUNCTION on_insert()', '1: trigger seen on table agents'),
('DROP FUNCTION in_policy()', '1: policy guard on table agents'),
('DROP FUNCTION in_index(int)', '1: index agents_in_index_idx'),
('DROP TYPE mood', '1: column mood of agents, column m of parted, column m of parted_1, column moods of agents'),
('ALTER TABLE agents ALTER mood TYPE text, ALTER moods TYPE text[]; DROP TYPE mood', '2: column m of parted, column m of parted_1'),
('ALTER TABLE agents DROP mood, DROP moods; ALTER TABLE parted ALTER m TYPE text; DROP TYPE mood', ''),
('ALTER TABLE agents DROP mood, DROP moods; ALTER TABLE parted DROP m; DROP TYPE mood', ''),
('CREATE TYPE mood_new AS ENUM (''a''); ALTER TABLE agents ALTER mood TYPE mood_new USING mood::text::mood_new, DROP moods; ALTER TABLE parted DROP m; DROP TYPE mood; ALTER TYPE mood_new RENAME TO mood', ''),
-- a view with another text
('ALTER TABLE agents DROP c', '1: view names'),
('CREATE OR REPLACE VIEW names AS SELECT ''x''::text AS c; ALTER TABLE agents DROP c', ''),
('CREATE OR REPLACE VIEW names AS SELECT ''x''::text AS c; ALTER TABLE agents ALTER c TYPE varchar', ''),
-- names as they are found
('ALTER TABLE agents DROP d', '1: view "lint Drops"."The names"'),
('ALTER TABLE agents ALTER d TYPE varchar', '1: view "lint Drops"."The names"'),
('ALTER TABLE agents DROP e', '1: view "lint Drops".names'),
('ALTER VIEW names RENAME TO called; ALTER TABLE agents DROP c', '2: view called'),
('ALTER TABLE agents DROP id', '1: foreign key "badges Agent" of badges'),
-- columns of partitions go along, those of children that have their own don't
('ALTER TABLE parted DROP x', '1: view of_partition'),
('ALTER TABLE parent DROP y', ''),
-- indexes, servers
('DROP INDEX agents_u', '1: foreign key badges_u of badges'),
('DROP SERVER lint_drops_server', '1: foreign table far'),
('DROP FOREIGN DATA WRAPPER lint_drops_fdw', '1: server lint_drops_server, foreign table far'),
('DROP FOREIGN TABLE far; DROP SERVER lint_drops_server; DROP FOREIGN DATA WRAPPER lint_drops_fdw', ''),
('DROP TYPE inner_pair', '1: attribute p of type outer_pair'),
('DROP TYPE outer_pair; DROP TABLE pairs; DROP TYPE inner_pair', '1: column q of pairs'),
('DROP TABLE pairs; DROP TYPE outer_pair; DROP TYPE inner_pair', ''),
('DROP DOMAIN over_positive; DROP DOMAIN positive', ''),
('DROP DOMAIN positive', '1: type over_positive'),
('DROP COLLATION mine', '1: column c of of_collation'),
('DROP TABLE of_collation; DROP COLLATION mine', '');
SELECT n, script, finds AS expected, found
FROM cases, LATERAL (SELECT coalesce(string_agg(statement || ': ' || regexp_replace(message, '^.* is used by (.*): the server refuses it$', '\1'), '; ' ORDER BY statement), '') AS found
	FROM tapmig.lint(script) WHERE rule = 'alter-type-dependent-objects') AS f
WHERE found <> finds ORDER BY n;
SELECT count(*) FROM cases;

TRUNCATE cases RESTART IDENTITY;
INSERT INTO cases (script, finds) VALUES
('ALTER TABLE agents DROP CONSTRAINT agents_pkey CASCADE', 'warning: foreign key "badges Agent" of badges'),
('ALTER TABLE agents DROP CONSTRAINT agents_pkey CASCADE; ALTER TABLE agents ADD PRIMARY KEY (id); ALTER TABLE badges ADD CONSTRAINT "badges Agent" FOREIGN KEY (agent) REFERENCES agents NOT VALID', ''),
('ALTER TABLE agents DROP CONSTRAINT agents_pkey CASCADE; VACUUM agents; ALTER TABLE badges ADD CONSTRAINT "badges Agent" FOREIGN KEY (agent) REFERENCES agents NOT VALID', 'warning: foreign key "badges Agent" of badges'),
('ALTER TABLE agents DROP c CASCADE', 'error: view names'),
('ALTER TABLE agents DROP c CASCADE; CREATE VIEW names AS SELECT ''x''::text AS c', ''),
('CREATE OR REPLACE VIEW names AS SELECT ''x''::text AS c; ALTER TABLE agents DROP c CASCADE', ''),
('ALTER TABLE parted DROP x CASCADE', 'error: view of_partition'),
('DROP INDEX agents_u CASCADE', 'warning: foreign key badges_u of badges'),
('DROP SERVER lint_drops_server CASCADE', 'error: foreign table far');
SELECT n, script, finds AS expected, found
FROM cases, LATERAL (SELECT coalesce(string_agg(level || ': ' || regexp_replace(message, ': dropped along by CASCADE$', ''), '; ' ORDER BY statement), '') AS found
	FROM tapmig.lint(script) WHERE rule = 'drop-cascade') AS f
WHERE found <> finds ORDER BY n;
SELECT count(*) FROM cases;

DROP SCHEMA lint_drops, "lint Drops" CASCADE;
DROP FOREIGN DATA WRAPPER lint_drops_fdw CASCADE;
