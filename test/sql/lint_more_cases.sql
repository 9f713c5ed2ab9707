-- tapmig.lint: conditions of the rules that only the server's catalogs decide, each where it holds and where it doesn't.
SET client_min_messages = warning;
CREATE SCHEMA lint_more;
SET search_path = lint_more;
SET tapmig.lint_rows = 10;
CREATE TABLE teams (id int PRIMARY KEY, name text);
CREATE TABLE agents (id int PRIMARY KEY, team int, note text, UNIQUE (note));
INSERT INTO teams SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO agents SELECT i, i, i FROM generate_series(1, 50) i;
CREATE TABLE head (id int PRIMARY KEY, n int);
CREATE TABLE line (id int PRIMARY KEY, head int CONSTRAINT line_head REFERENCES head, n int);
CREATE TABLE detail (line int CONSTRAINT detail_line REFERENCES line, n int);
CREATE TABLE parent (id int PRIMARY KEY, n int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE parted (id int PRIMARY KEY, n int) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2) PARTITION BY LIST (id);
CREATE TABLE parted_2_2 PARTITION OF parted_2 FOR VALUES IN (2);
CREATE TABLE of_parted (parted int REFERENCES parted, n int);
INSERT INTO head SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO line SELECT i, i, i FROM generate_series(1, 50) i;
INSERT INTO detail SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO parent SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO child SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO parted SELECT i, i FROM generate_series(1, 2) i;
INSERT INTO of_parted SELECT 1, i FROM generate_series(1, 50) i;
CREATE TYPE place AS (id int, name varchar(20), note text);
CREATE TYPE unused_type AS (id int, name varchar(20));
CREATE TYPE rolled AS (k int, a int);
CREATE TABLE towns OF place (PRIMARY KEY (id));
CREATE TABLE holds_rolled (p rolled);
CREATE TABLE harbours (depth int) INHERITS (towns);
CREATE TABLE rolls OF rolled PARTITION BY LIST (k);
CREATE TABLE rolls_1 PARTITION OF rolls FOR VALUES IN (1);
CREATE VIEW town_notes AS SELECT note FROM towns;
CREATE TYPE mood AS ENUM ('glad');
CREATE TABLE moods (mood mood);
CREATE DOMAIN checked AS int CHECK (VALUE > 0);
INSERT INTO towns SELECT i, i, i FROM generate_series(1, 50) i;
INSERT INTO harbours SELECT i, i, i, i FROM generate_series(1, 50) i;
INSERT INTO rolls SELECT 1, i FROM generate_series(1, 50) i;
CREATE TABLE empty (id int PRIMARY KEY);
CREATE TABLE checked_k (k int CHECK (k = 2));
CREATE TABLE unchecked_k (k int);
INSERT INTO checked_k SELECT 2 FROM generate_series(1, 50) i;
INSERT INTO unchecked_k SELECT 2 FROM generate_series(1, 50) i;
ALTER TABLE unchecked_k ADD CHECK (k = 2) NOT VALID;
CREATE TABLE few (id int PRIMARY KEY);
CREATE TABLE many (id int PRIMARY KEY, few int CONSTRAINT to_few REFERENCES few);
CREATE TABLE fewer (id int PRIMARY KEY, many int CONSTRAINT to_many REFERENCES many);
INSERT INTO few SELECT i FROM generate_series(1, 20) i;
INSERT INTO many SELECT i, 1 FROM generate_series(1, 60) i;
INSERT INTO fewer SELECT i, 1 FROM generate_series(1, 20) i;
SELECT format('CREATE FUNCTION names_%s() RETURNS text LANGUAGE sql AS $$SELECT ''teams.name''$$', i) FROM generate_series(1, 6) i \gexec
CREATE TABLE with_default (k int) PARTITION BY LIST (k);
CREATE TABLE with_default_1 PARTITION OF with_default FOR VALUES IN (1);
CREATE TABLE with_default_d PARTITION OF with_default DEFAULT;
INSERT INTO with_default VALUES (1), (2);
CREATE MATERIALIZED VIEW kept AS SELECT id, n FROM head;
CREATE MATERIALIZED VIEW unfilled AS SELECT id, n FROM head WITH NO DATA;

SET allow_in_place_tablespaces = on;
CREATE TABLESPACE lint_more_space LOCATION '';
CREATE TABLE no_rows (team int CONSTRAINT to_teams REFERENCES teams);
CREATE MATERIALIZED VIEW kept_unique AS SELECT id, n FROM head;
CREATE UNIQUE INDEX ON kept_unique (id);
CREATE MATERIALIZED VIEW kept_partly AS SELECT id, n FROM head;
CREATE UNIQUE INDEX ON kept_partly (id) WHERE id > 0;
CREATE UNIQUE INDEX ON kept_partly ((id + 1));
CREATE INDEX ON kept_partly (id);
CREATE TABLE cases (n int GENERATED ALWAYS AS IDENTITY, script text, finds text);
INSERT INTO cases (script, finds) VALUES
-- an index that the script makes serves a foreign key, until the script drops it
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX i ON agents (team)',
	'1:fk-locks-referenced-table=warning 2:index-create-not-concurrent=error 2:statement-after-write-block=notice'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY i ON agents (team); DROP INDEX CONCURRENTLY i',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY i ON agents (team); DROP INDEX i',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning 3:index-drop-not-concurrent=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY ON agents (team, lower(note)); DROP INDEX CONCURRENTLY agents_team_lower_idx',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY ON agents (team); CREATE INDEX CONCURRENTLY ON agents (team); DROP INDEX CONCURRENTLY agents_team_idx1',
	'1:fk-locks-referenced-table=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY ON agents (team, (id + 1), (id + 2), team); DROP INDEX CONCURRENTLY agents_team_expr_expr1_team1_idx',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY i ON agents (team); ALTER INDEX i RENAME TO j; DROP INDEX CONCURRENTLY j',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; ALTER TABLE agents ADD CONSTRAINT u UNIQUE (team)',
	'1:fk-locks-referenced-table=warning 2:add-unique-no-using-index=error 2:statement-after-write-block=notice'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; ALTER TABLE agents ADD UNIQUE (team); ALTER TABLE agents DROP CONSTRAINT agents_team_key',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning 2:add-unique-no-using-index=error 2:statement-after-write-block=notice'),
('CREATE TABLE new (id int PRIMARY KEY, team int UNIQUE); ALTER TABLE new ADD FOREIGN KEY (team) REFERENCES teams',
	'2:fk-locks-referenced-table=warning'),
('CREATE TABLE new (id int PRIMARY KEY, team int UNIQUE); ALTER TABLE new ADD FOREIGN KEY (team) REFERENCES teams; ALTER TABLE new DROP CONSTRAINT new_team_key',
	'2:fk-locks-referenced-table=warning 2:fk-missing-index=notice'),
-- IF NOT EXISTS makes nothing where the name is taken
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY IF NOT EXISTS agents_note_key ON agents (team)',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
('DROP TABLE agents; CREATE TABLE agents (team int REFERENCES teams); CREATE INDEX IF NOT EXISTS agents_pkey ON agents (team)',
	'2:fk-locks-referenced-table=warning'),
-- TRUNCATE empties what CASCADE reaches, and what inherits
('TRUNCATE head CASCADE; ALTER TABLE line ALTER n TYPE bigint; ALTER TABLE detail ALTER n TYPE bigint', ''),
('ALTER TABLE agents ALTER team TYPE int; ALTER TABLE agents ALTER team TYPE int COLLATE "C"', ''),
('TRUNCATE detail; ALTER TABLE line ALTER n TYPE bigint',
	'2:alter-type-rewrite=error 2:statement-after-access-exclusive=warning 2:wide-lock-window=warning'),
('ALTER TABLE detail DROP CONSTRAINT detail_line; VACUUM teams; TRUNCATE head CASCADE; ALTER TABLE line ALTER n TYPE bigint; ALTER TABLE detail ALTER n TYPE bigint',
	'1:drop-constraint=warning 5:alter-type-rewrite=error 5:statement-after-access-exclusive=warning 5:wide-lock-window=warning'),
('ALTER TABLE teams ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES head NOT VALID; VACUUM teams; TRUNCATE head CASCADE; ALTER TABLE teams ALTER name TYPE varchar(9)',
	'1:fk-locks-referenced-table=warning'),
('ALTER TABLE teams ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES head NOT VALID; ALTER TABLE teams DROP CONSTRAINT k; VACUUM teams; TRUNCATE head CASCADE; ALTER TABLE teams ALTER name TYPE varchar(9)',
	'1:fk-locks-referenced-table=warning 5:alter-type-rewrite=error 5:statement-after-access-exclusive=warning 5:wide-lock-window=warning'),
('TRUNCATE parent; ALTER TABLE child ADD CHECK (n > 0)', ''),
('TRUNCATE ONLY parent; ALTER TABLE child ADD CHECK (n > 0)',
	'2:check-not-not-valid=error 2:statement-after-access-exclusive=warning'),
('TRUNCATE ONLY parent; ALTER TABLE parent ADD CHECK (n > 0)',
	'2:check-not-not-valid=error'),
('TRUNCATE ONLY parent; ALTER TABLE ONLY parent ADD CHECK (n > 0) NO INHERIT', ''),
('TRUNCATE parted CASCADE; ALTER TABLE parted_1 ADD CHECK (n > 0); ALTER TABLE parted_2_2 ADD CHECK (n > 0); ALTER TABLE of_parted ADD CHECK (n > 0)', ''),
('TRUNCATE parted_1 CASCADE; ALTER TABLE of_parted ADD CHECK (n > 0); ALTER TABLE parted_2_2 ADD CHECK (n > 0)',
	'3:check-not-not-valid=warning 3:statement-after-access-exclusive=notice 3:wide-lock-window=warning'),
-- a materialized view without data, when the step ends
('REFRESH MATERIALIZED VIEW kept WITH NO DATA',
	'1:refresh-matview-blocking=error'),
('REFRESH MATERIALIZED VIEW kept WITH NO DATA; CREATE INDEX ON kept (id)',
	'1:refresh-matview-blocking=error'),
('REFRESH MATERIALIZED VIEW kept WITH NO DATA; VACUUM teams; REFRESH MATERIALIZED VIEW kept',
	'1:refresh-matview-blocking=error 3:refresh-matview-blocking=error'),
('REFRESH MATERIALIZED VIEW kept WITH NO DATA; CREATE INDEX ON kept (id); REFRESH MATERIALIZED VIEW kept',
	'3:refresh-matview-blocking=error'),
('REFRESH MATERIALIZED VIEW kept WITH NO DATA; DROP MATERIALIZED VIEW kept', ''),
('REFRESH MATERIALIZED VIEW unfilled WITH NO DATA', ''),
('CREATE MATERIALIZED VIEW fresh AS SELECT 1 AS a; REFRESH MATERIALIZED VIEW fresh WITH NO DATA', ''),
-- ALTER TYPE ... CASCADE: the tables of the type
('ALTER TYPE place ALTER ATTRIBUTE id TYPE bigint CASCADE',
	'1:alter-type-rewrite=error'),
('ALTER TYPE place ALTER ATTRIBUTE name TYPE varchar(30) CASCADE', ''),
('ALTER TYPE place ALTER ATTRIBUTE id TYPE bigint',
	'1:alter-type-dependent-objects=error'),
('ALTER TYPE place DROP ATTRIBUTE name',
	'1:alter-type-dependent-objects=error'),
('ALTER TABLE towns NOT OF; ALTER TYPE place DROP ATTRIBUTE name', ''),
('ALTER TYPE unused_type ALTER ATTRIBUTE id TYPE bigint CASCADE', ''),
('ALTER TYPE place ADD ATTRIBUTE n checked CASCADE',
	'1:add-column-constrained-domain=error'),
('ALTER TYPE place ADD ATTRIBUTE n int CASCADE', ''),
('ALTER TYPE place ADD ATTRIBUTE n json CASCADE, ADD ATTRIBUTE m json',
	'1:add-column-json=warning 1:add-column-json=warning 1:add-column-json=warning 1:alter-type-dependent-objects=error'),
('ALTER TYPE place DROP ATTRIBUTE note CASCADE',
	'1:drop-cascade=error'),
('ALTER TYPE place DROP ATTRIBUTE name CASCADE', ''),
('ALTER TYPE rolled ADD ATTRIBUTE b int CASCADE',
	'1:partitioned-ddl-fanout=notice'),
('ALTER TYPE rolled ADD ATTRIBUTE b int',
	'1:alter-type-dependent-objects=error'),
('ALTER TYPE rolled ALTER ATTRIBUTE a TYPE bigint CASCADE',
	'1:alter-type-dependent-objects=error 1:alter-type-rewrite=error 1:partitioned-ddl-fanout=notice'),
('DROP TABLE holds_rolled; ALTER TYPE rolled ALTER ATTRIBUTE a TYPE bigint CASCADE',
	'2:alter-type-rewrite=error 2:partitioned-ddl-fanout=notice'),
('ALTER TYPE rolled DROP ATTRIBUTE a CASCADE',
	'1:partitioned-ddl-fanout=notice'),
('TRUNCATE ONLY towns; VACUUM teams; ALTER TYPE place ALTER ATTRIBUTE id TYPE bigint CASCADE',
	'3:alter-type-rewrite=error'),
('ALTER TYPE place ADD ATTRIBUTE n int CASCADE; CREATE INDEX ON towns (note); CREATE INDEX ON teams (name)',
	'2:index-create-not-concurrent=error 2:index-in-tx-after-exclusive-lock=error 3:index-create-not-concurrent=error 3:statement-after-access-exclusive=warning'),
('DROP TABLE harbours; DROP VIEW town_notes; DROP TABLE towns; ALTER TYPE place ALTER ATTRIBUTE id TYPE bigint CASCADE',
	'3:wide-lock-window=warning'),
('ALTER TABLE towns NOT OF; ALTER TYPE place ALTER ATTRIBUTE id TYPE bigint CASCADE', ''),
('ALTER TYPE place ALTER ATTRIBUTE id TYPE bigint CASCADE; ALTER TABLE towns ALTER id TYPE bigint',
	'1:alter-type-rewrite=error'),
-- what tapmig.run takes out of its transaction
('BEGIN; CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON agents (team); COMMIT;',
	'2:concurrently-in-transaction=notice'),
('SET lock_timeout = 0; BEGIN; SET statement_timeout = 0; VACUUM agents; COMMIT;',
	'4:concurrently-in-transaction=notice'),
('BEGIN; SET LOCAL statement_timeout = 0; VACUUM agents; COMMIT;',
	'3:concurrently-in-transaction=warning'),
('BEGIN; COMMENT ON TABLE agents IS $$$$; CREATE INDEX CONCURRENTLY i ON agents (team); COMMIT;',
	'3:concurrently-in-transaction=warning'),
('BEGIN; CREATE INDEX CONCURRENTLY i ON agents (team); ALTER TABLE agents ADD x int; COMMIT;',
	'2:concurrently-in-transaction=warning'),
('BEGIN; CREATE INDEX CONCURRENTLY i ON agents (team); VACUUM agents; COMMIT; BEGIN; VACUUM teams; COMMIT',
	'2:concurrently-in-transaction=warning 3:concurrently-in-transaction=warning 6:concurrently-in-transaction=notice'),
('BEGIN; ALTER TABLE agents ADD x int; COMMIT; CREATE INDEX CONCURRENTLY i ON agents (team)', ''),
('BEGIN; VACUUM agents',
	'2:concurrently-in-transaction=error 2:transaction-control=error'),
('BEGIN; VACUUM agents; ROLLBACK',
	'2:concurrently-in-transaction=error 3:transaction-control=error'),
('ALTER TYPE mood ADD VALUE $$new$$; INSERT INTO moods VALUES ($$new$$); INSERT INTO moods SELECT $$new$$',
	'2:enum-add-value-use-same-tx=warning'),
-- keys to several tables; a table's own
('ALTER TABLE line ADD FOREIGN KEY (n) REFERENCES teams NOT VALID, ADD FOREIGN KEY (n) REFERENCES agents NOT VALID; CREATE INDEX CONCURRENTLY ON line (n)',
	'1:fk-locks-referenced-table=warning 1:fk-locks-referenced-table=warning 1:fk-multiple-in-one-tx=warning'),
('ALTER TABLE line ADD FOREIGN KEY (n) REFERENCES teams NOT VALID, ADD FOREIGN KEY (n) REFERENCES empty NOT VALID; CREATE INDEX CONCURRENTLY ON line (n)',
	'1:fk-locks-referenced-table=warning'),
('ALTER TABLE line ADD FOREIGN KEY (n) REFERENCES teams NOT VALID, ADD FOREIGN KEY (n) REFERENCES line NOT VALID; CREATE INDEX CONCURRENTLY ON line (n)',
	'1:fk-locks-referenced-table=warning'),
('CREATE TABLE new (a int, FOREIGN KEY (a) REFERENCES teams)',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=notice'),
('CREATE TABLE new (a int, CHECK (a > 0), UNIQUE (a))', ''),
('CREATE TABLE new (LIKE agents INCLUDING ALL, FOREIGN KEY (team) REFERENCES teams)',
	'1:fk-locks-referenced-table=warning'),
('CREATE TABLE new (a int NOT NULL, b int NOT NULL, FOREIGN KEY (a) REFERENCES empty ON DELETE SET NULL)',
	'1:fk-missing-index=notice 1:fk-set-null-on-not-null=warning'),
('CREATE TABLE new (a int, b int NOT NULL, FOREIGN KEY (a) REFERENCES empty ON DELETE SET NULL)',
	'1:fk-missing-index=notice'),
-- a new parent, and CHECKs that speak of its key
('CREATE TABLE new (k int) PARTITION BY LIST (k); ALTER TABLE new ATTACH PARTITION checked_k FOR VALUES IN (2)', ''),
('CREATE TABLE new (k int) PARTITION BY LIST (k); ALTER TABLE new ATTACH PARTITION unchecked_k FOR VALUES IN (2)',
	'2:partition-attach-scan=error'),
('CREATE TABLE new (k int) PARTITION BY LIST (k); ALTER TABLE unchecked_k VALIDATE CONSTRAINT unchecked_k_k_check; ALTER TABLE new ATTACH PARTITION unchecked_k FOR VALUES IN (2)',
	'2:validate-constraint-scan=notice'),
-- storage
('ALTER TABLE agents SET UNLOGGED',
	'1:set-logged-unlogged=error'),
('ALTER TABLE agents SET LOGGED', ''),
-- values of an enum, and the same word elsewhere
('ALTER TYPE mood ADD VALUE $$new$$; CREATE DOMAIN x AS text CHECK (VALUE <> $$new$$); CREATE DOMAIN y AS mood CHECK (VALUE <> $$old$$)', ''),
('ALTER TYPE mood ADD VALUE $$new$$; CREATE DOMAIN x AS mood CHECK (VALUE <> $$new$$)',
	'2:enum-add-value-use-same-tx=warning'),
-- defaults
('ALTER TABLE agents ALTER team SET DEFAULT 1',
	'1:column-default-change=notice'),
('ALTER TABLE agents ADD x int; ALTER TABLE agents ALTER x SET DEFAULT 1; ALTER TABLE agents ALTER nope SET DEFAULT 1', ''),
-- a partitioned table's key, also where the column that it had is gone
('ALTER TABLE parted DROP CONSTRAINT parted_pkey CASCADE, ADD UNIQUE (n)',
	'1:add-unique-no-using-index=warning 1:drop-cascade=warning 1:drop-constraint=notice 1:partition-key-missing-in-pk=error 1:partitioned-ddl-fanout=notice'),
-- what a rename leaves behind is nobody's where that is dropped
('ALTER TABLE checked_k RENAME TO gone_k',
	'1:rename-table=error'),
('ALTER TABLE checked_k RENAME TO gone_k; DROP TABLE gone_k', ''),
-- words over two lines
(E'DO $$ BEGIN ALTER\nTABLE x ADD y int; END $$',
	'1:opaque-ddl=notice'),
('DO $$ BEGIN RAISE NOTICE $x$altered$x$; END $$', ''),
-- options, tablespaces
('ALTER TABLE agents SET (autovacuum_enabled = off)',
	'1:autovacuum-disabled=warning'),
('ALTER TABLE agents SET (autovacuum_enabled, fillfactor = 80)', ''),
('ALTER TABLE agents SET TABLESPACE lint_more_space',
	'1:set-tablespace=error'),
('ALTER INDEX agents_pkey SET TABLESPACE lint_more_space',
	'1:set-tablespace=error'),
('ALTER TABLE parted SET TABLESPACE lint_more_space', ''),
-- the index of a partitioned table's key
('DROP INDEX parted_pkey',
	'1:alter-type-dependent-objects=error 1:drop-constraint-backing-index=error');
SELECT n, script, finds AS expected, found
FROM cases, LATERAL (SELECT coalesce(string_agg(statement || ':' || rule || '=' || level, ' ' ORDER BY statement, rule), '') AS found
	FROM tapmig.lint(script)) AS f
WHERE found <> finds ORDER BY n;
SELECT count(*) FROM cases;

-- what messages say
SELECT rule, message FROM tapmig.lint('ALTER TABLE teams RENAME name TO called');
SELECT rule, message FROM tapmig.lint('ALTER TABLE many ALTER few TYPE bigint; ALTER TABLE few ALTER id TYPE bigint') WHERE rule = 'alter-type-fk-recheck';
SELECT rule, message FROM tapmig.lint('ALTER TABLE parted DETACH PARTITION parted_1; ALTER TABLE with_default DETACH PARTITION with_default_1') WHERE rule = 'partition-detach-not-concurrent';
SELECT rule, message FROM tapmig.lint('REFRESH MATERIALIZED VIEW kept WITH NO DATA; ALTER TYPE place ALTER ATTRIBUTE id TYPE bigint CASCADE, DROP ATTRIBUTE note CASCADE');
SELECT rule, message FROM tapmig.lint('BEGIN; VACUUM agents; COMMIT; BEGIN; ALTER TABLE agents ADD x int; CREATE INDEX CONCURRENTLY i ON agents (x); COMMIT');
SELECT rule, message, advice FROM tapmig.lint('SET LOCAL lock_timeout = 0; CREATE INDEX CONCURRENTLY ON agents (team); SET lock_timeout = 0; ALTER TABLE teams ADD x int; ALTER TABLE agents ADD x int') WHERE rule = 'missing-lock-timeout';
SELECT relation, message FROM tapmig.lint('REFRESH MATERIALIZED VIEW kept; REFRESH MATERIALIZED VIEW kept_unique; REFRESH MATERIALIZED VIEW kept_partly; DROP INDEX kept_unique_id_idx; REFRESH MATERIALIZED VIEW kept_unique')
WHERE rule = 'refresh-matview-blocking';
SELECT relation, message FROM tapmig.lint('ALTER TABLE no_rows DROP CONSTRAINT to_teams; ALTER TABLE line DROP CONSTRAINT line_head') WHERE rule = 'drop-constraint';
SELECT relation, message FROM tapmig.lint('ALTER INDEX agents_pkey SET TABLESPACE lint_more_space');
DROP SCHEMA lint_more CASCADE;
DROP TABLESPACE lint_more_space;
