-- tapmig.lint: what the script itself has made stands in the way of a DROP, or goes with it; and what is in a schema.
SET client_min_messages = warning;
CREATE SCHEMA lint_uses;
CREATE SCHEMA lint_uses_full;
CREATE SCHEMA "lint uses";
SET search_path = lint_uses;
CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION fixed(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE TABLE agents (id int PRIMARY KEY, a int, b int);
CREATE TABLE other (a int, n int);
CREATE TABLE parent (a int, b int);
CREATE TABLE child (b int) INHERITS (parent);
CREATE TABLE ruled (a int);
CREATE TABLE target (a int);
INSERT INTO ruled VALUES (1);
CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO target VALUES (NEW.a);
CREATE VIEW known AS SELECT id, a FROM agents;
CREATE TABLE parted (k int) PARTITION BY LIST (k);
CREATE TABLE lint_uses_full.boxes (id int, a int);
CREATE VIEW lint_uses_full.seen AS SELECT 1 AS x;
CREATE SEQUENCE lint_uses_full.counter;
CREATE FUNCTION lint_uses_full.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE lint_uses_full.kind AS ENUM ('a');
CREATE COLLATION lint_uses_full.mine (locale = 'C');
CREATE TABLE "lint uses"."The boxes" (id int);
CREATE FUNCTION runs(script text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count(*) FROM tapmig.rehearse(script);
	RETURN 'runs';
EXCEPTION WHEN dependent_objects_still_exist OR feature_not_supported THEN
	RETURN 'refused';
END $$;

CREATE TABLE cases (n int GENERATED ALWAYS AS IDENTITY, script text, finds text);
INSERT INTO cases (script, finds) VALUES
-- views
('CREATE VIEW v AS SELECT a FROM other; DROP TABLE other', '2: view v'),
('CREATE VIEW v AS SELECT a FROM other; DROP TABLE other CASCADE', '2: along: view v'),
('CREATE VIEW v AS SELECT a FROM other; CREATE VIEW w AS SELECT a FROM v; DROP TABLE other CASCADE', '3: along: view v, view w'),
('CREATE VIEW v AS SELECT a FROM other; CREATE VIEW w AS SELECT a FROM v; DROP TABLE other CASCADE; CREATE TABLE v (id int)', '3: along: view w'),
('CREATE VIEW w AS SELECT a FROM known; DROP TABLE agents CASCADE', '2: along: view known, view w'),
('CREATE VIEW v AS SELECT a FROM other; DROP VIEW v; DROP TABLE other', ''),
('CREATE VIEW v AS SELECT a FROM other; DROP VIEW v; CREATE VIEW v AS SELECT a FROM agents; DROP TABLE other', ''),
('CREATE VIEW v AS SELECT a FROM other; CREATE OR REPLACE VIEW v AS SELECT a FROM agents; DROP TABLE other', ''),
('CREATE OR REPLACE VIEW known AS SELECT n AS id, a FROM other; DROP TABLE other', '2: view known'),
('CREATE OR REPLACE VIEW known AS SELECT n AS id, a FROM other; DROP TABLE agents', ''),
('CREATE TABLE t (id int); CREATE VIEW v AS SELECT * FROM t; DROP TABLE t', '3: view v'),
('CREATE TABLE t (id int); CREATE VIEW v AS SELECT * FROM t; CREATE VIEW w AS SELECT * FROM v; DROP VIEW v', '4: view w'),
('CREATE TABLE t (id int); CREATE VIEW v AS SELECT * FROM t; CREATE VIEW w AS SELECT * FROM v; DROP VIEW v, w; DROP TABLE t', ''),
('CREATE VIEW v AS WITH other AS (SELECT 1 AS x) SELECT * FROM other; DROP TABLE other', ''),
('CREATE VIEW v AS SELECT 1 AS x WHERE EXISTS (SELECT FROM other); DROP TABLE other', '2: view v'),
('CREATE MATERIALIZED VIEW v AS SELECT a FROM other; DROP TABLE other', '2: materialized view v'),
('CREATE TABLE v AS SELECT a FROM other; DROP TABLE other', ''),
('CREATE VIEW "The view" AS SELECT a FROM other; ALTER VIEW "The view" RENAME TO "A view"; DROP TABLE other', '3: view "A view"'),
-- their columns
('CREATE VIEW v AS SELECT a FROM other; ALTER TABLE other DROP n', ''),
('CREATE VIEW v AS SELECT a FROM other; ALTER TABLE other DROP a', '2: view v'),
('CREATE VIEW v AS SELECT * FROM other; ALTER TABLE other DROP a', '2: view v'),
('CREATE VIEW v AS SELECT o.* FROM other o; ALTER TABLE other DROP a', '2: view v'),
('CREATE VIEW v AS SELECT x.a FROM other o, agents x; ALTER TABLE other DROP a', ''),
('CREATE VIEW v AS SELECT 1 AS x FROM other o JOIN agents x USING (a); ALTER TABLE other DROP a', '2: view v'),
('CREATE VIEW v AS SELECT o.a FROM other o; ALTER TABLE other DROP a CASCADE', '2: along: view v'),
('CREATE VIEW v AS SELECT a FROM other; ALTER TABLE other RENAME a TO aa; ALTER TABLE other DROP aa', '3: view v'),
('CREATE VIEW v AS SELECT a FROM other; ALTER TABLE other ALTER a TYPE bigint', '2: view v'),
('CREATE VIEW v AS SELECT a FROM other; ALTER TABLE other ALTER n TYPE bigint', ''),
-- triggers
('CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION on_insert(); DROP FUNCTION on_insert()', '2: trigger t on table other'),
('CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION on_insert(); DROP FUNCTION on_insert() CASCADE', '2: along: trigger t on table other'),
('CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION on_insert(); DROP TRIGGER t ON other; DROP FUNCTION on_insert()', ''),
('CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION on_insert(); DROP TABLE other; DROP FUNCTION on_insert()', ''),
('CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NEW; END''; CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION f(); DROP FUNCTION f()', '3: trigger t on table other'),
('CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NEW; END''; CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION f(); CREATE OR REPLACE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION on_insert(); DROP FUNCTION f()', ''),
('CREATE TRIGGER t BEFORE UPDATE OF a ON other FOR EACH ROW EXECUTE FUNCTION on_insert(); ALTER TABLE other DROP n', ''),
('CREATE TRIGGER t BEFORE UPDATE OF a ON other FOR EACH ROW EXECUTE FUNCTION on_insert(); ALTER TABLE other DROP a', '2: trigger t on table other'),
('CREATE TRIGGER t BEFORE UPDATE ON other FOR EACH ROW WHEN (OLD.a <> NEW.a) EXECUTE FUNCTION on_insert(); ALTER TABLE other ALTER a TYPE bigint', '2: trigger t on table other'),
('CREATE TRIGGER t BEFORE UPDATE ON other FOR EACH ROW WHEN (OLD.a <> NEW.a) EXECUTE FUNCTION on_insert(); ALTER TABLE other DROP n', ''),
('CREATE TRIGGER t BEFORE UPDATE OF a ON child FOR EACH ROW EXECUTE FUNCTION on_insert(); ALTER TABLE parent DROP a', '2: trigger t on table child'),
('CREATE TRIGGER t BEFORE UPDATE OF b ON child FOR EACH ROW EXECUTE FUNCTION on_insert(); ALTER TABLE parent DROP b', ''),
('CREATE TRIGGER t BEFORE UPDATE OF a ON child FOR EACH ROW EXECUTE FUNCTION on_insert(); ALTER TABLE ONLY parent DROP a', ''),
-- policies, rules
('CREATE POLICY p ON other USING (a > 0); ALTER TABLE other DROP a', '2: policy p on table other'),
('CREATE POLICY p ON other USING (a > 0); ALTER TABLE other DROP n', ''),
('CREATE POLICY p ON other USING (a > 0); DROP POLICY p ON other; ALTER TABLE other DROP a', ''),
('CREATE POLICY p ON other USING (true) WITH CHECK (EXISTS (SELECT FROM agents)); DROP VIEW known; DROP TABLE agents', '3: policy p on table other'),
('CREATE POLICY p ON other USING (one() > 0); DROP FUNCTION one()', '2: policy p on table other'),
('CREATE POLICY p ON other USING (one() > 0); DROP FUNCTION one() CASCADE', '2: along: policy p on table other'),
('CREATE RULE r AS ON DELETE TO agents DO ALSO INSERT INTO other VALUES (OLD.a); DROP TABLE other', '2: rule r on table agents'),
('CREATE RULE r AS ON DELETE TO agents DO ALSO (NOTIFY gone; INSERT INTO other VALUES (OLD.a); NOTIFY gone, ''too''); DROP TABLE other', '2: rule r on table agents'),
('CREATE RULE r AS ON DELETE TO agents DO ALSO INSERT INTO other VALUES (OLD.b); ALTER TABLE agents DROP b', '2: rule r on table agents'),
('CREATE RULE r AS ON DELETE TO agents DO ALSO INSERT INTO other VALUES (OLD.a); ALTER TABLE agents DROP b', ''),
('CREATE RULE r AS ON DELETE TO agents WHERE OLD.b > 0 DO INSTEAD NOTHING; ALTER TABLE agents DROP b', '2: rule r on table agents'),
('CREATE RULE r AS ON DELETE TO agents DO ALSO INSERT INTO other VALUES (OLD.a); DROP RULE r ON agents; DROP TABLE other', ''),
('CREATE RULE r AS ON DELETE TO agents DO ALSO INSERT INTO other VALUES (OLD.a); DROP VIEW known; DROP TABLE agents; DROP TABLE other', ''),
('CREATE RULE r AS ON UPDATE TO other DO ALSO (NOTIFY x; DELETE FROM agents); DROP VIEW known; DROP TABLE agents', '3: rule r on table other'),
('CREATE RULE r AS ON UPDATE TO other DO ALSO NOTIFY x; DROP TABLE other', ''),
-- defaults, child tables, foreign keys
('ALTER TABLE other ALTER a SET DEFAULT one(); DROP FUNCTION one()', '2: default value for column a of table other'),
('ALTER TABLE other ALTER a SET DEFAULT one(); ALTER TABLE other ALTER a DROP DEFAULT; DROP FUNCTION one()', ''),
('ALTER TABLE other ADD x int DEFAULT one(); DROP FUNCTION one()', '2: default value for column x of table other'),
('ALTER TABLE other ADD x int DEFAULT one(); ALTER TABLE other DROP x; DROP FUNCTION one()', ''),
('CREATE TABLE t (a int DEFAULT one()); DROP FUNCTION one() CASCADE', '2: along: default value for column a of table t'),
('CREATE TABLE t () INHERITS (other); DROP TABLE other', '2: table t'),
('CREATE TABLE t () INHERITS (other); DROP TABLE other CASCADE', '2: along: table t'),
('CREATE TABLE t () INHERITS (other); DROP TABLE other, t', ''),
('CREATE TABLE t (LIKE other); ALTER TABLE t INHERIT other; DROP TABLE other', '3: table t'),
('CREATE TABLE t (LIKE other); ALTER TABLE t INHERIT other; ALTER TABLE t NO INHERIT other; DROP TABLE other', ''),
('CREATE TABLE t PARTITION OF parted FOR VALUES IN (1); DROP TABLE parted', ''),
('CREATE TABLE t (k int); ALTER TABLE parted ATTACH PARTITION t FOR VALUES IN (1); DROP TABLE parted', ''),
('CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE other ADD CONSTRAINT to_t FOREIGN KEY (a) REFERENCES t; DROP TABLE t', '3: foreign key to_t of other'),
('CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE other ADD CONSTRAINT to_t FOREIGN KEY (a) REFERENCES t; DROP TABLE t CASCADE', '3: along: foreign key to_t of other'),
('CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE other ADD CONSTRAINT to_t FOREIGN KEY (a) REFERENCES t; DROP TABLE t, other', ''),
('CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE other ADD CONSTRAINT to_t FOREIGN KEY (a) REFERENCES t; ALTER TABLE other DROP CONSTRAINT to_t; DROP TABLE t', ''),
('CREATE INDEX i ON other (fixed(a)); DROP FUNCTION fixed(int)', '2: index i'),
('CREATE INDEX i ON other (fixed(a)); DROP INDEX i; DROP FUNCTION fixed(int)', ''),
('CREATE INDEX i ON other (a) WHERE fixed(n) > 0; DROP FUNCTION fixed(int) CASCADE', '2: along: index i'),
('CREATE VIEW v AS SELECT * FROM other; ALTER TABLE other DROP COLUMN IF EXISTS x', ''),
-- which function
('CREATE VIEW v AS SELECT one() AS x; DROP FUNCTION one()', '2: view v'),
('CREATE VIEW v AS SELECT fixed(1) AS x; DROP FUNCTION one()', ''),
('CREATE FUNCTION one(int) RETURNS int LANGUAGE sql AS ''SELECT 1''; CREATE VIEW v AS SELECT one() AS x; DROP FUNCTION one(int)', ''),
('CREATE FUNCTION lint_uses_full.one() RETURNS int LANGUAGE sql AS ''SELECT 1''; CREATE VIEW v AS SELECT one() AS x; DROP FUNCTION lint_uses_full.one()', ''),
('CREATE FUNCTION lint_uses_full.one() RETURNS int LANGUAGE sql AS ''SELECT 1''; CREATE VIEW v AS SELECT lint_uses_full.one() AS x; DROP FUNCTION lint_uses_full.one()', '3: view v'),
('CREATE VIEW v AS SELECT one() AS x; DROP FUNCTION IF EXISTS lint_uses_full.one()', ''),
-- schemas
('DROP SCHEMA lint_uses_full', '1: collation lint_uses_full.mine, function lint_uses_full.f(), sequence lint_uses_full.counter, table lint_uses_full.boxes, type lint_uses_full.kind and 1 more'),
('DROP SCHEMA "lint uses"', '1: table "lint uses"."The boxes"'),
('DROP TABLE "lint uses"."The boxes"; DROP SCHEMA "lint uses"', ''),
('ALTER TABLE "lint uses"."The boxes" SET SCHEMA lint_uses; DROP SCHEMA "lint uses"', ''),
('ALTER SCHEMA "lint uses" RENAME TO renamed; DROP SCHEMA renamed', '2: table renamed."The boxes"'),
('DROP SCHEMA "lint uses" CASCADE', ''),
('DROP SCHEMA IF EXISTS lint_uses_absent', ''),
('DROP TABLE lint_uses_full.boxes; DROP VIEW lint_uses_full.seen; DROP SEQUENCE lint_uses_full.counter; DROP FUNCTION lint_uses_full.f(); DROP TYPE lint_uses_full.kind; DROP COLLATION lint_uses_full.mine; DROP SCHEMA lint_uses_full', ''),
('DROP TABLE lint_uses_full.boxes; DROP VIEW lint_uses_full.seen; DROP SEQUENCE lint_uses_full.counter; ALTER FUNCTION lint_uses_full.f() SET SCHEMA lint_uses; ALTER TYPE lint_uses_full.kind SET SCHEMA lint_uses; DROP COLLATION lint_uses_full.mine; DROP SCHEMA lint_uses_full', ''),
('DROP TABLE lint_uses_full.boxes; DROP VIEW lint_uses_full.seen; DROP SEQUENCE lint_uses_full.counter; DROP FUNCTION lint_uses_full.f(); DROP COLLATION lint_uses_full.mine; DROP SCHEMA lint_uses_full', '6: type lint_uses_full.kind'),
('CREATE SCHEMA s; DROP SCHEMA s', ''),
('CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY); DROP SCHEMA s', '3: table s.t'),
('CREATE SCHEMA s; CREATE TABLE s.t (id serial PRIMARY KEY); DROP TABLE s.t; DROP SCHEMA s', ''),
('CREATE SCHEMA s; CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS ''SELECT 1''; DROP SCHEMA s', '3: function f'),
('CREATE SCHEMA s; CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS ''SELECT 1''; DROP FUNCTION s.f(); DROP SCHEMA s', '');

-- what lint says; where it says that the server refuses a statement, it does
SELECT n, script, finds AS expected, found, runs(script)
FROM cases, LATERAL (SELECT coalesce(string_agg(statement || ': ' || regexp_replace(regexp_replace(message, '^.* is used by (.*): the server refuses it$', '\1'),
		'^(.*): dropped along by CASCADE$', 'along: \1'), '; ' ORDER BY statement), '') AS found
	FROM tapmig.lint(script) WHERE rule IN ('alter-type-dependent-objects', 'drop-cascade')) AS f
WHERE found <> finds OR (finds <> '' AND finds NOT LIKE '%along%') <> (runs(script) = 'refused') ORDER BY n;
SELECT count(*) FROM cases;

-- CASCADE locks what it takes a trigger or a foreign key from
INSERT INTO other VALUES (1, 1);
SELECT script, (SELECT string_agg(statement || ':' || rule || ' ' || relation, ' ' ORDER BY statement, rule) FROM tapmig.lint(script) WHERE lock_mode = 'ACCESS EXCLUSIVE') AS found FROM (VALUES
	('CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION on_insert(); DROP FUNCTION on_insert() CASCADE; CREATE INDEX ON other (a)'),
	('CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE other ADD CONSTRAINT to_t FOREIGN KEY (a) REFERENCES t NOT VALID; DROP TABLE t CASCADE; CREATE INDEX ON other (a)'),
	('DROP TABLE target CASCADE; CREATE INDEX ON ruled (a)')) AS s (script);

-- many of them, each once
SELECT string_agg(format('CREATE VIEW v%s AS SELECT o.a, p.a AS b FROM other o, other p; CREATE VIEW w%s AS SELECT x.a FROM v%s x, v%s y', i, i, i, greatest(i - 1, 1)), '; ') AS many FROM generate_series(1, 30) i \gset
SELECT rule, message FROM tapmig.lint(:'many' || '; DROP TABLE other');
SELECT rule, message FROM tapmig.lint(:'many' || '; DROP TABLE other CASCADE');

DROP SCHEMA lint_uses, lint_uses_full, "lint uses" CASCADE;
