-- tapmig.lint: the conditions of the rules, each where it holds and where it doesn't.
SET client_min_messages = warning;
CREATE SCHEMA lint_cases;
SET search_path = lint_cases;
SET tapmig.lint_rows = 10;
CREATE TABLE teams (id int PRIMARY KEY, a int, b int, UNIQUE (a, b));
CREATE TABLE agents (id int PRIMARY KEY, team int, name varchar(20), must int NOT NULL DEFAULT 1, code int CONSTRAINT code_key UNIQUE,
	must_b int NOT NULL, proven int CONSTRAINT proven_is CHECK (proven IS NOT NULL), CONSTRAINT team_positive CHECK (team > 0));
CREATE INDEX agents_team ON agents (team);
CREATE UNIQUE INDEX agents_must ON agents (must);
CREATE UNIQUE INDEX agents_proven ON agents (proven);
CREATE INDEX agents_name ON agents (name varchar_pattern_ops);
CREATE TABLE members (id int PRIMARY KEY, team int CONSTRAINT members_team REFERENCES teams);
CREATE TABLE lonely (id int PRIMARY KEY, team int REFERENCES teams);
CREATE TABLE parted (k int NOT NULL, a int) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE INDEX parted_a ON ONLY parted (a);
CREATE TABLE rest_of (k int, a int) PARTITION BY LIST (k);
CREATE TABLE rest_1 PARTITION OF rest_of FOR VALUES IN (1);
CREATE TABLE rest_d PARTITION OF rest_of DEFAULT;
CREATE TABLE middle (k int NOT NULL, a int NOT NULL) PARTITION BY LIST (a);
ALTER TABLE parted ATTACH PARTITION middle FOR VALUES IN (2);
CREATE TABLE loose (k int NOT NULL, a int NOT NULL CHECK (a = 5));
CREATE TABLE loose_too (k int NOT NULL CHECK (k = 2), a int NOT NULL CHECK (a = 5));
CREATE TABLE for_rest (k int CHECK (k IS NOT NULL AND k = 7), a int);
CREATE TABLE many (k int, a int) PARTITION BY LIST (k);
SELECT format('CREATE TABLE many_%s PARTITION OF many FOR VALUES IN (%s)', i, i) FROM generate_series(1, 20) i \gexec
CREATE DOMAIN plain AS int;
CREATE DOMAIN over_plain AS plain;
CREATE DOMAIN seven AS int DEFAULT 7;
CREATE TABLE over (o over_plain);
CREATE TEMP TABLE visited (id int);
CREATE VIEW agents_view AS SELECT id FROM agents;
CREATE MATERIALIZED VIEW agents_kept AS SELECT id FROM agents;
CREATE TYPE mood AS ENUM ('glad');
CREATE TABLE moods (mood mood);
INSERT INTO teams SELECT i, i, i FROM generate_series(1, 50) i;
INSERT INTO agents SELECT i, i, i, i, i, i, i FROM generate_series(1, 50) i;
INSERT INTO members SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO parted SELECT 1, i FROM generate_series(1, 50) i;
INSERT INTO rest_of SELECT 3, i FROM generate_series(1, 50) i;
INSERT INTO loose SELECT 2, 5 FROM generate_series(1, 50) i;
INSERT INTO loose_too SELECT 2, 5 FROM generate_series(1, 50) i;
INSERT INTO for_rest SELECT 7, 5 FROM generate_series(1, 50) i;
INSERT INTO many SELECT i % 20 + 1, i FROM generate_series(1, 2000) i;
INSERT INTO over SELECT i FROM generate_series(1, 50) i;
INSERT INTO visited SELECT i FROM generate_series(1, 50) i;
ALTER TABLE agents ADD CONSTRAINT name_short CHECK (name <> 'x') NOT VALID;
REFRESH MATERIALIZED VIEW agents_kept;
ANALYZE many;
CREATE TABLE broken (c varchar(5), d varchar(5));
INSERT INTO broken SELECT i, i FROM generate_series(1, 50) i;
CREATE INDEX broken_c ON broken (c);
SET allow_system_table_mods = on;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken_c'::regclass;
RESET allow_system_table_mods;
SET client_min_messages = error;	-- wal_level; the text differs between versions
CREATE PUBLICATION inserts_only FOR TABLE agents WITH (publish = 'insert');
CREATE PUBLICATION all_of_members FOR TABLE members, teams;
SET client_min_messages = warning;
ALTER TABLE teams REPLICA IDENTITY FULL;
CREATE ROLE lint_owner;

-- n, the script, its findings: statement:rule=level
CREATE TABLE cases (n serial, script text, finds text);
INSERT INTO cases (script, finds) VALUES
-- transactions
('BEGIN; SELECT 1; COMMIT AND CHAIN; VACUUM teams; COMMIT',
	'4:concurrently-in-transaction=notice'),
('VACUUM teams', ''),
('CREATE TYPE new AS ENUM (); VACUUM teams', ''),
('BEGIN; ALTER TABLE agents ADD x int; COMMIT; BEGIN; ALTER TABLE teams ADD y int; COMMIT', ''),
('ALTER TABLE agents ADD x int; ALTER TABLE teams ADD y int',
	'2:wide-lock-window=warning'),
('ALTER TABLE members DROP CONSTRAINT members_team; CREATE INDEX ON teams (a)',
	'1:drop-constraint=warning 2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error'),
('CREATE INDEX ON teams (a); ALTER TABLE members DROP CONSTRAINT members_team',
	'1:index-create-not-concurrent=error 2:drop-constraint=warning'),
-- temporary, foreign, empty
('CREATE INDEX ON visited (id); ALTER TABLE visited ALTER id TYPE bigint', ''),
('ALTER TABLE many ADD CHECK (a > 0)',
	'1:check-not-not-valid=error 1:partitioned-ddl-fanout=notice'),
-- columns
('ALTER TABLE agents ALTER team DROP DEFAULT; ALTER TABLE agents ALTER must DROP DEFAULT',
	'2:column-default-change=notice'),
('ALTER TABLE agents ALTER must DROP NOT NULL; ALTER TABLE agents ALTER must SET NOT NULL',
	'1:drop-not-null=notice 2:set-not-null-scan=error'),
('ALTER TABLE agents ADD q int NOT NULL DEFAULT 1; ALTER TABLE agents ALTER q SET NOT NULL', ''),
('ALTER TABLE agents ADD q int DEFAULT NULL NOT NULL',
	'1:add-column-not-null-no-default=error'),
('ALTER TABLE agents ADD q seven NOT NULL; ALTER TABLE agents ADD r plain NOT NULL',
	'2:add-column-not-null-no-default=error'),
('CREATE TABLE x (i int); ALTER TABLE x ADD p int NOT NULL; INSERT INTO x VALUES (1); ALTER TABLE x ADD q int NOT NULL',
	'4:add-column-not-null-no-default=error'),
('CREATE DOMAIN pos AS int CHECK (VALUE > 0); ALTER TABLE agents ADD q pos[]; ALTER TABLE agents ADD r pos',
	'3:add-column-constrained-domain=error'),
-- keys
('ALTER TABLE parted ADD FOREIGN KEY (k) REFERENCES teams',
	'1:fk-missing-index=warning 1:fk-not-not-valid=error 1:partitioned-ddl-fanout=notice'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES agents NOT VALID', ''),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID',
	'1:fk-locks-referenced-table=warning'),
('DROP INDEX agents_team; ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES agents NOT VALID',
	'1:index-drop-not-concurrent=warning 2:fk-missing-index=warning'),
('ALTER TABLE parted ADD FOREIGN KEY (a) REFERENCES teams',
	'1:fk-missing-index=warning 1:fk-not-not-valid=error 1:partitioned-ddl-fanout=notice'),
('ALTER TABLE agents ADD FOREIGN KEY (must, team) REFERENCES teams (a, b) ON DELETE SET NULL NOT VALID',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning 1:fk-set-null-on-not-null=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (must, team) REFERENCES teams (a, b) ON DELETE SET NULL (team) NOT VALID',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
-- a name that the server chooses
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; VACUUM lonely; ALTER TABLE agents VALIDATE CONSTRAINT agents_team_fkey',
	'1:fk-locks-referenced-table=warning 3:validate-constraint-scan=notice'),
('ALTER TABLE agents ADD CHECK (team < 99) NOT VALID; VACUUM lonely; ALTER TABLE agents VALIDATE CONSTRAINT agents_team_check',
	'3:validate-constraint-scan=notice'),
('ALTER TABLE agents ADD CHECK (team < id) NOT VALID; VACUUM lonely; ALTER TABLE agents VALIDATE CONSTRAINT agents_check, VALIDATE CONSTRAINT agents_team_id_check',
	'3:validate-constraint-scan=notice'),
-- constraints
('ALTER TABLE agents DROP CONSTRAINT agents_pkey',
	'1:drop-constraint=warning'),
('ALTER TABLE members DROP CONSTRAINT members_pkey',
	'1:drop-constraint=warning 1:drop-pk-breaks-replication=error'),
('ALTER TABLE teams DROP CONSTRAINT teams_pkey CASCADE',
	'1:drop-cascade=warning 1:drop-constraint=warning'),
('ALTER TABLE agents ADD UNIQUE (proven); ALTER TABLE agents DROP CONSTRAINT agents_pkey, ADD PRIMARY KEY (proven)',
	'1:add-unique-no-using-index=error 2:add-pk-no-using-index=error 2:drop-constraint=warning'),
('ALTER TABLE agents DROP CONSTRAINT agents_pkey, ADD PRIMARY KEY (team)',
	'1:add-pk-no-using-index=error 1:add-pk-nullable-columns=error 1:drop-constraint=warning'),
('ALTER TABLE agents DROP CONSTRAINT agents_pkey, ADD PRIMARY KEY USING INDEX agents_must',
	'1:drop-constraint=warning'),
('ALTER TABLE agents DROP CONSTRAINT agents_pkey, ADD PRIMARY KEY USING INDEX agents_proven',
	'1:drop-constraint=warning'),
-- indexes
('CREATE INDEX IF NOT EXISTS agents_team ON agents (team); DROP INDEX agents_team',
	'2:index-drop-not-concurrent=warning'),
('DROP INDEX code_key',
	'1:drop-constraint-backing-index=error'),
('CREATE INDEX ON ONLY parted (k); CREATE INDEX ON parted (k)',
	'2:index-create-partitioned-fanout=error 2:statement-after-write-block=notice'),
-- types
('ALTER TABLE agents ALTER name TYPE text', ''),
('ALTER TABLE agents ALTER name TYPE varchar(30)', ''),
('ALTER TABLE members ALTER team TYPE bigint',
	'1:alter-type-fk-recheck=error 1:alter-type-rewrite=error'),
('ALTER TABLE members ALTER team TYPE plain',
	'1:alter-type-fk-recheck=warning'),
('ALTER TABLE agents DROP CONSTRAINT team_positive; ALTER TABLE agents ALTER team TYPE plain',
	'1:drop-constraint=warning'),
('ALTER TABLE agents ALTER team TYPE plain',
	'1:alter-type-check-rescan=error'),
('ALTER TABLE broken ALTER c TYPE varchar(9)',
	'1:alter-type-index-rebuild=error'),
-- storage
('ALTER TABLE agents SET TABLESPACE pg_default; ALTER INDEX agents_team SET TABLESPACE pg_default', ''),
('REFRESH MATERIALIZED VIEW agents_kept WITH NO DATA; REFRESH MATERIALIZED VIEW agents_kept',
	'2:refresh-matview-blocking=error'),
-- partitions
('ALTER TABLE middle ATTACH PARTITION loose FOR VALUES IN (5)',
	'1:partition-attach-scan=error'),
('ALTER TABLE middle ATTACH PARTITION loose_too FOR VALUES IN (5)', ''),
('CREATE TABLE rest_3 PARTITION OF rest_of FOR VALUES IN (4)',
	'1:partition-create-of-locks-parent=warning 1:partition-default-scan=error'),
('ALTER TABLE rest_d ADD CHECK (k IS NOT NULL AND k <> 4) NOT VALID; ALTER TABLE rest_d VALIDATE CONSTRAINT rest_d_k_check; CREATE TABLE rest_3 PARTITION OF rest_of FOR VALUES IN (4)',
	'2:validate-in-same-transaction=error 3:partition-create-of-locks-parent=warning 3:wide-lock-window=warning'),
('ALTER TABLE rest_d ADD CONSTRAINT c CHECK (k IS NOT NULL AND k <> 4) NOT VALID; VACUUM teams; ALTER TABLE rest_d VALIDATE CONSTRAINT c; VACUUM teams; CREATE TABLE rest_3 PARTITION OF rest_of FOR VALUES IN (4)',
	'3:validate-constraint-scan=notice 5:partition-create-of-locks-parent=warning'),
('ALTER TABLE rest_of DETACH PARTITION rest_d; ALTER TABLE rest_of ATTACH PARTITION for_rest DEFAULT',
	'1:partition-detach-not-concurrent=warning 2:wide-lock-window=warning'),
-- drops
('DROP TABLE members; DROP TABLE teams',
	'1:drop-table-locks-referenced=warning 2:alter-type-dependent-objects=error'),
('DROP TABLE members, teams CASCADE',
	'1:drop-cascade=warning'),
-- other objects
('ALTER TABLE agents OWNER TO CURRENT_USER; ALTER TABLE agents OWNER TO lint_owner',
	'2:rls-policy-rule-owner-changes=warning'),
('ALTER TABLE agents ENABLE ROW LEVEL SECURITY; ALTER TABLE agents DISABLE ROW LEVEL SECURITY',
	'2:rls-policy-rule-owner-changes=error'),
('BEGIN; ALTER TYPE mood ADD VALUE ''new''; COMMIT; INSERT INTO moods VALUES (''new'')', ''),
('ALTER DOMAIN plain ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID; ALTER DOMAIN plain ADD CONSTRAINT d CHECK (VALUE > 0)',
	'2:domain-add-constraint=error'),
-- rows
('UPDATE agents SET team = 1 WHERE 1 = 1; UPDATE agents SET team = 1 WHERE 1 = 2; UPDATE agents SET team = 1 WHERE id = id',
	'1:dml-without-where=warning'),
('UPDATE agents SET team = 1 FROM teams; DELETE FROM agents USING teams', '');

SELECT n, script, finds AS expected, found
FROM cases, LATERAL (SELECT coalesce(string_agg(statement || ':' || rule || '=' || level, ' ' ORDER BY statement, rule), '') AS found
	FROM tapmig.lint(script)) AS f
WHERE found <> finds ORDER BY n;
SELECT count(*) FROM cases;

-- sizes where they are believed
SELECT message FROM tapmig.lint('ALTER TABLE many ADD CHECK (a > 0)') WHERE rule = 'check-not-not-valid';

DROP SCHEMA lint_cases CASCADE;
DROP PUBLICATION inserts_only, all_of_members;
DROP ROLE lint_owner;
