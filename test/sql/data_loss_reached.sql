-- Loss of data in tables that a statement does not name: those of a type, what TRUNCATE reaches.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
SET tapmig.track = 'data_loss_reached';
SET tapmig.out_of_order = allow;
SET tapmig.lint = off;
SET tapmig.data_loss = error;
CREATE SCHEMA data_loss_reached;
SET search_path = data_loss_reached;

-- tables of a type, those that inherit from them, partitions; attributes of a type that has none are no data
CREATE TYPE place AS (id int, name text, note text, at timestamp);
CREATE TYPE spot AS (id int, at timestamp);
CREATE TABLE towns OF place (PRIMARY KEY (id));
CREATE TABLE empty_towns OF place;
CREATE TABLE harbours (depth int) INHERITS (towns);
CREATE TABLE split OF place PARTITION BY LIST (id);
CREATE TABLE split_1 PARTITION OF split FOR VALUES IN (1);
SELECT tapmig.apply('1', 'ALTER TYPE place DROP ATTRIBUTE note CASCADE, ADD ATTRIBUTE note text CASCADE; ALTER TYPE place ALTER ATTRIBUTE name TYPE varchar(2) CASCADE; ALTER TYPE place ALTER ATTRIBUTE name TYPE text CASCADE');
SELECT tapmig.apply('1.1', 'ALTER TYPE place ALTER ATTRIBUTE name TYPE text CASCADE');
INSERT INTO harbours (id, name, at, depth) VALUES (1, 'one', '2026-01-01 10:00', 3), (2, 'two', '2026-01-01', 3);
INSERT INTO split (id, name, note) VALUES (1, 'one', 'a note');
SELECT tapmig.apply('2', 'ALTER TYPE place DROP ATTRIBUTE note CASCADE');
TRUNCATE split;
SELECT tapmig.apply('2', 'ALTER TYPE place DROP ATTRIBUTE note CASCADE');
SELECT tapmig.apply('3', 'ALTER TYPE place DROP ATTRIBUTE name CASCADE');
SELECT tapmig.apply('3', 'ALTER TYPE place ALTER ATTRIBUTE at TYPE date CASCADE');
SELECT tapmig.apply('3', 'DO $$ BEGIN ALTER TYPE place ADD ATTRIBUTE n int CASCADE, ALTER ATTRIBUTE at TYPE date CASCADE; END $$');
SELECT tapmig.apply('3', 'ALTER TYPE place ALTER ATTRIBUTE at TYPE date');
SELECT tapmig.apply('3', 'DROP TYPE place CASCADE');
INSERT INTO towns (id, name, at) VALUES (3, 'three', '2026-01-01 10:00');
SELECT tapmig.apply('3', 'ALTER TYPE place ALTER ATTRIBUTE at TYPE date CASCADE');
SELECT tapmig.apply('3', E'-- tapmig: loses=towns.at, approved-by=me\nALTER TYPE place ALTER ATTRIBUTE at TYPE date CASCADE');
SELECT tapmig.apply('4', 'ALTER TYPE place ALTER ATTRIBUTE at TYPE timestamp CASCADE, ALTER ATTRIBUTE name TYPE varchar CASCADE');
SELECT tapmig.apply('5', 'CREATE TABLE spots OF spot; INSERT INTO spots VALUES (1, now()); ALTER TYPE spot ALTER ATTRIBUTE at TYPE date CASCADE, DROP ATTRIBUTE id CASCADE; DROP TYPE spot CASCADE');

-- TRUNCATE ... CASCADE
CREATE TABLE head (id int PRIMARY KEY);
CREATE TABLE line (id int PRIMARY KEY, head int REFERENCES head);
CREATE TABLE detail (line int REFERENCES line, k int) PARTITION BY LIST (k);
CREATE TABLE detail_1 PARTITION OF detail FOR VALUES IN (1);
CREATE TABLE detail_2 PARTITION OF detail FOR VALUES IN (2);
CREATE TABLE unused (line int REFERENCES line);
CREATE TABLE head_too () INHERITS (head);
INSERT INTO head VALUES (1), (2);
INSERT INTO head_too VALUES (7);
INSERT INTO line VALUES (1, 1);
INSERT INTO detail VALUES (1, 1), (1, 2), (1, 2);
SELECT tapmig.apply('10', 'TRUNCATE head CASCADE');
SELECT tapmig.apply('10', 'TRUNCATE ONLY head CASCADE');
SELECT tapmig.apply('10', 'TRUNCATE detail_1');
SELECT tapmig.apply('10', 'TRUNCATE unused');
-- what the list means: a column is no table
SELECT tapmig.apply('11', E'-- tapmig: loses=data_loss_reached.line.id, approved-by=me\nDROP TABLE line CASCADE');
SELECT tapmig.apply('11', E'-- tapmig: loses=line.id, approved-by=me\nDROP TABLE line CASCADE');
SELECT tapmig.apply('10.2', 'CREATE TABLE other (a int); DROP TABLE other, unused');
-- more tables than a message names
CREATE TABLE fourth (a int); INSERT INTO fourth VALUES (1);
SELECT tapmig.apply('11', 'TRUNCATE head, line, detail, fourth CASCADE');
-- a condition on no row is one, and so is one on partitions
SELECT tapmig.apply('10.3', 'DELETE FROM detail WHERE line > 5');
SELECT tapmig.apply('10.1', 'DELETE FROM fourth WHERE current_setting(''application_name'') = ''nobody''''s''');
SELECT tapmig.apply('11', E'-- tapmig: loses=head, line, detail, approved-by=me\nTRUNCATE head CASCADE');

SET client_min_messages = error;
DROP SCHEMA data_loss_reached CASCADE;
