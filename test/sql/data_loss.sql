-- Loss of data: WARNING or TM008, decided on whether a row is there.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'data_loss';
SET tapmig.out_of_order = allow;
SET tapmig.lint = off;
CREATE SCHEMA data_loss;
SET search_path = data_loss, public;

-- DROP COLUMN: with the key's column in the export line; nothing where all is NULL.
CREATE TABLE agents (key int PRIMARY KEY, note text, empty text, "Odd name" text, sum int GENERATED ALWAYS AS (key + 1) STORED);
INSERT INTO agents VALUES (1, 'a'), (2, 'b'), (3, NULL);
UPDATE agents SET "Odd name" = 'x';
SELECT tapmig.apply('1', 'ALTER TABLE agents DROP empty, DROP sum;');
SELECT tapmig.apply('2', E'SELECT 1;\nALTER TABLE agents DROP "note"');
SELECT tapmig.apply('3', 'ALTER TABLE agents DROP COLUMN "Odd name"');
SELECT tapmig.apply('4', 'ALTER TABLE agents DROP COLUMN key');

-- as error: nothing is changed
CREATE TABLE kept (a int, b int, note text, PRIMARY KEY (b, a));
INSERT INTO kept VALUES (1, 1, 'a'), (2, 2, 'b');
SET tapmig.data_loss = error;
SELECT tapmig.apply('5', E'-- a comment\nALTER TABLE kept DROP note, DROP b');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('5', 'DROP TABLE kept');
SELECT tapmig.apply('5', 'TRUNCATE kept');
SELECT tapmig.apply('5', 'DELETE FROM kept');
SELECT tapmig.apply('5', 'DELETE FROM kept WHERE true');
SELECT tapmig.apply('5', 'SET enable_seqscan = off; DELETE FROM kept');
SELECT tapmig.apply('5', 'DELETE FROM kept USING generate_series(1, 2)');
SELECT tapmig.apply('5', 'PREPARE data_loss_all AS DELETE FROM kept; EXECUTE data_loss_all');
SELECT tapmig.apply('5', 'DELETE FROM kept WHERE a > 1 RETURNING *; INSERT INTO kept VALUES (2, 2, ''b'')');
SELECT tapmig.apply('6', 'DELETE FROM kept USING generate_series(1, 2) g WHERE g = a; INSERT INTO kept VALUES (1, 1, ''a''), (2, 2, ''b'')');
-- from within DO, functions, EXECUTE
SELECT tapmig.apply('7', 'DO $$ BEGIN EXECUTE ''DROP TABLE '' || ''kept''; END $$');
CREATE FUNCTION empty_it() RETURNS void LANGUAGE sql AS 'DELETE FROM kept';
SELECT tapmig.apply('7', 'SELECT empty_it()');
SELECT tapmig.apply('7', 'DO $$ BEGIN DELETE FROM kept; EXCEPTION WHEN SQLSTATE ''TM008'' THEN RAISE NOTICE ''caught''; END $$');
SELECT tapmig.apply('7.0', 'DO $$ BEGIN EXECUTE ''DROP TABLE kept''; EXCEPTION WHEN SQLSTATE ''TM008'' THEN RAISE NOTICE ''caught''; END $$');
SELECT count(*) FROM kept;
SELECT tapmig.apply('7.1', 'WITH gone AS (DELETE FROM kept RETURNING *) SELECT * FROM gone');
CREATE TABLE other_rows (n int);
SELECT tapmig.apply('7.1', 'WITH gone AS (DELETE FROM kept) INSERT INTO other_rows VALUES (1)');
SELECT tapmig.apply('7.1', 'WITH gone AS (DELETE FROM kept RETURNING *), n AS (SELECT count(*) FROM gone) INSERT INTO other_rows VALUES (1)');
SELECT tapmig.apply('7.1', 'EXPLAIN DELETE FROM kept');
SET tapmig.data_loss = allow;
SELECT tapmig.apply('8', 'DELETE FROM kept');
SET tapmig.data_loss = error;
-- empty by now; dead rows are no rows
SELECT tapmig.apply('9', 'TRUNCATE kept; ALTER TABLE kept DROP note; DROP TABLE kept;');

-- What the script makes itself, temporary tables, views, sequences: no loss.
CREATE TABLE old (id int PRIMARY KEY, v text);
INSERT INTO old VALUES (1, 'one');
CREATE VIEW seen AS SELECT * FROM old;
CREATE MATERIALIZED VIEW made AS SELECT * FROM old;
CREATE SEQUENCE counted;
CREATE TEMP TABLE passing AS SELECT 1 AS a;
SELECT tapmig.apply('10', $$
CREATE TABLE fresh AS SELECT * FROM old;
ALTER TABLE fresh ALTER id TYPE text USING 'x', DROP v;
DELETE FROM fresh;
INSERT INTO fresh VALUES ('y');
TRUNCATE fresh;
INSERT INTO fresh VALUES ('y');
DROP TABLE fresh;
ALTER TABLE old ADD COLUMN work int DEFAULT 7;
UPDATE old SET work = 8;
ALTER TABLE old ALTER work TYPE text USING 'x';
ALTER TABLE old DROP COLUMN work;
DROP VIEW seen; DROP MATERIALIZED VIEW made; DROP SEQUENCE counted; DROP TABLE passing;
CREATE TABLE gone (LIKE old);
WITH moved AS (DELETE FROM old RETURNING id, v) INSERT INTO gone SELECT * FROM moved;
INSERT INTO old SELECT * FROM gone;
WITH moved AS (DELETE FROM old RETURNING id, v), seen AS MATERIALIZED (SELECT * FROM moved),
	n AS (INSERT INTO gone SELECT * FROM seen RETURNING 1) SELECT count(*) FROM n;
INSERT INTO old SELECT DISTINCT * FROM gone;
CLUSTER old USING old_pkey;
ALTER TABLE old SET UNLOGGED;
$$);
SELECT * FROM old;
BEGIN;
CREATE TABLE just_made AS SELECT 1 AS a;
SELECT tapmig.apply('10.1', 'ALTER TABLE just_made ALTER a TYPE text USING NULL; DELETE FROM just_made; TRUNCATE just_made; INSERT INTO just_made VALUES (1); DROP TABLE just_made');
ROLLBACK;

-- Expand and contract.
SELECT tapmig.apply('11.1', 'ALTER TABLE old ADD COLUMN v2 text; UPDATE old SET v2 = v; ALTER TABLE old ALTER v2 SET NOT NULL; ALTER TABLE old RENAME v TO v_old');
SELECT tapmig.apply('11.2', 'ALTER TABLE old DROP COLUMN v_old');
SELECT tapmig.apply('11.2', E'-- tapmig: loses=old.v_old, approved-by="N. N., ticket 4711"\nALTER TABLE old DROP COLUMN v_old');
SELECT directives FROM tapmig.schema_migrations WHERE track = 'data_loss' AND version = '11.2';

-- CASCADE: schemas, types, owners, extensions, children, foreign keys.
CREATE SCHEMA data_loss_other;
CREATE TYPE data_loss_other.mood AS ENUM ('good', 'bad');
CREATE DOMAIN data_loss_other.positive AS int CHECK (VALUE > 0);
CREATE TABLE people (id int PRIMARY KEY, mood data_loss_other.mood, n data_loss_other.positive);
INSERT INTO people VALUES (1, 'good', 2), (2, NULL, 2);
CREATE TABLE data_loss_other.full (a int); INSERT INTO data_loss_other.full VALUES (1);
CREATE TABLE data_loss_other.empty (a int);
SET client_min_messages = warning;
SELECT tapmig.apply('12', 'DROP SCHEMA data_loss_other CASCADE');
SELECT tapmig.apply('12', 'DROP DOMAIN data_loss_other.positive CASCADE');
SELECT tapmig.apply('12', 'DROP TYPE data_loss_other.mood CASCADE');
CREATE ROLE data_loss_owner;
ALTER SCHEMA data_loss_other OWNER TO data_loss_owner;
ALTER TABLE data_loss_other.full OWNER TO data_loss_owner;
ALTER TYPE data_loss_other.mood OWNER TO data_loss_owner;
SELECT tapmig.apply('12', 'DROP OWNED BY data_loss_owner CASCADE');
REASSIGN OWNED BY data_loss_owner TO CURRENT_USER;
DROP ROLE data_loss_owner;
CREATE TABLE parent (a int, note text);
CREATE TABLE child (b int) INHERITS (parent);
CREATE TABLE grandchild () INHERITS (child);
INSERT INTO grandchild VALUES (1, 'n', 1), (2, NULL, 1);
SELECT tapmig.apply('13', 'ALTER TABLE parent DROP COLUMN note');
SELECT tapmig.apply('13', 'DROP TABLE parent CASCADE');
SELECT tapmig.apply('13', 'DROP TABLE child CASCADE');
SELECT tapmig.apply('13', 'DELETE FROM parent');
SELECT tapmig.apply('13', 'DELETE FROM ONLY parent; TRUNCATE ONLY parent; ALTER TABLE ONLY parent DROP a');
CREATE TABLE parted (a int, note text) PARTITION BY LIST (a);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1) PARTITION BY LIST (a);
CREATE TABLE parted_1_1 PARTITION OF parted_1 FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
SELECT tapmig.apply('14', 'DELETE FROM parted; TRUNCATE parted; ALTER TABLE parted ADD c int; ALTER TABLE parted DROP c');
INSERT INTO parted VALUES (1, 'x'), (1, NULL), (2, 'z');
SELECT tapmig.apply('15', 'DELETE FROM parted');
SELECT tapmig.apply('15', 'TRUNCATE parted');
SELECT tapmig.apply('15', 'DROP TABLE parted');
SELECT tapmig.apply('15', 'DROP TABLE parted_2');
SELECT tapmig.apply('15', 'ALTER TABLE parted DROP note');
SELECT tapmig.apply('15', 'ALTER TABLE parted DETACH PARTITION parted_2; ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES IN (2)');
-- approved by the parent's name
SELECT tapmig.apply('16', E'-- tapmig: loses=parted, approved-by=me\nDROP TABLE parted_2; ALTER TABLE parted DROP note; DROP TABLE parted');
CREATE TABLE head (id int PRIMARY KEY);
CREATE TABLE line (id int REFERENCES head ON DELETE CASCADE);
INSERT INTO head VALUES (1); INSERT INTO line VALUES (1);
SELECT tapmig.apply('17', 'TRUNCATE head CASCADE');
SELECT tapmig.apply('17', 'DELETE FROM line WHERE id < 9; TRUNCATE line; DELETE FROM head WHERE id = 1');

-- Listed: forms of names, and what they don't cover.
CREATE TABLE agents2 (key int PRIMARY KEY, note text, "Note" text);
CREATE TABLE "Agents" (note text);
CREATE TABLE data_loss_other.agents2 (note text);
INSERT INTO agents2 VALUES (1, 'a', 'b'); INSERT INTO "Agents" VALUES ('a'); INSERT INTO data_loss_other.agents2 VALUES ('a');
SET tapmig.data_loss = warn;
SELECT tapmig.apply('20', E'-- tapmig: loses=agents2.note, approved-by=me\nALTER TABLE agents2 DROP note, DROP "Note"');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('20', E'-- tapmig: loses=agents2.note, approved-by=me\nDROP TABLE agents2');
SELECT tapmig.apply('20', E'-- tapmig: loses=agents2, approved-by=me\nDROP TABLE agents2; DROP TABLE data_loss_other.agents2');
SELECT tapmig.apply('20', E'-- tapmig: loses=agents, approved-by=me\nDROP TABLE "Agents"');
SELECT tapmig.apply('20', E'-- tapmig: loses=DATA_LOSS.Agents2.Note, "Agents".note, data_loss.agents2."Note", approved-by=me\nALTER TABLE agents2 DROP note, DROP "Note"; ALTER TABLE "Agents" DROP note;');
SELECT tapmig.apply('21', E'-- tapmig: loses="data_loss_other.agents2", nothing.here, agents2, approved-by=me\nDROP TABLE data_loss_other.agents2');
SELECT tapmig.apply('22', E'-- tapmig: loses=a..b, approved-by=me\nSELECT 1');
SELECT tapmig.apply('22', E'-- tapmig: loses=a.b.c.d, approved-by=me\nSELECT 1');
SELECT tapmig.apply('22', E'-- tapmig: loses="a, approved-by=me\nSELECT 1');
SELECT tapmig.apply('22', E'-- tapmig: loses=a b, approved-by=me\nSELECT 1');
SELECT tapmig.apply('22', E'-- tapmig: loses=agents2.note\nSELECT 1');
-- allow: an unlisted loss is nobody's business, a wrong list is
SET tapmig.data_loss = allow;
SELECT tapmig.apply('23', E'-- tapmig: loses=nothing, approved-by=me\nDROP TABLE agents2');
SELECT version, directives -> 'loses' AS loses FROM tapmig.schema_migrations WHERE track = 'data_loss' AND directives ? 'loses' ORDER BY tapmig.version_key(version);

-- What is said of a statement within another one is not kept to the end of that.
CREATE TABLE looped (memory bigint);
INSERT INTO looped VALUES (0);
SET tapmig.data_loss = warn;
SET client_min_messages = error;
SELECT tapmig.apply('24', $$
DO $do$
BEGIN
	FOR i IN 1 .. 500 LOOP
		TRUNCATE looped;
		INSERT INTO looped SELECT total_bytes FROM pg_backend_memory_contexts WHERE name = 'tapmig data loss of a statement';
	END LOOP;
END $do$;
$$);
SET client_min_messages = warning;
SELECT memory BETWEEN 1 AND 32768 AS bounded FROM looped;
DROP TABLE looped;

-- Tables of one name are saved to files of their own.
CREATE TABLE twin AS SELECT 1 AS i;
CREATE TABLE data_loss_other.twin AS SELECT 2 AS i;
SET tapmig.data_loss = error;
SELECT tapmig.apply('99', 'DROP TABLE twin, data_loss_other.twin');
DROP TABLE twin, data_loss_other.twin;

-- The watch ends with the script.
SET tapmig.data_loss = error;
DROP TABLE head, line;
DROP TABLE parent CASCADE;
RESET client_min_messages;
DROP SCHEMA data_loss_other CASCADE;
DROP SCHEMA data_loss CASCADE;
