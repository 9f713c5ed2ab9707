-- The rows of tapmig.lint, of few findings and of many: they are formed by hand, and
-- those of a large script lie where its state was.
SET client_min_messages = warning;
CREATE SCHEMA lint_rows;
SET search_path = lint_rows;
SET tapmig.lint_rows = 10;
CREATE TABLE agents (id int PRIMARY KEY, name text);
INSERT INTO agents SELECT g, g FROM generate_series(1, 20) g;
CREATE TABLE "Très ""long" (id int PRIMARY KEY);
INSERT INTO "Très ""long" SELECT generate_series(1, 20);
CREATE FUNCTION script(n int, name text) RETURNS text LANGUAGE sql AS $$
	SELECT E'-- tapmig: allow=nothing,index-create-not-concurrent\n' || string_agg(format(
		'CREATE TABLE %1$s%2$s (id int PRIMARY KEY, other int REFERENCES agents, "an other" int REFERENCES "Très ""long");
		CREATE INDEX ON agents (name); DELETE FROM agents; ALTER TABLE agents RENAME TO people; ALTER TABLE people RENAME TO agents;', name, g), E'\n')
	FROM generate_series(1, n) g
$$;

-- Each column is stored as the server would store it: short with a byte for its
-- length, long with four, aligned; and what it says is what a script alone gives.
CREATE FUNCTION stored_otherwise(text) RETURNS boolean LANGUAGE sql AS $$
	SELECT pg_column_size($1) <> octet_length($1) + CASE WHEN octet_length($1) < 127 THEN 1 ELSE 4 END
$$;
CREATE VIEW shapes AS SELECT n, name, count(*) AS rows, count(l.statement) AS statements, count(relation) AS relations, count(lock_mode) AS locks,
	min(length(message)) < 127 AS short, max(length(message)) > 127 AS long,
	count(*) FILTER (WHERE stored_otherwise(rule) OR stored_otherwise(level) OR stored_otherwise(relation) OR stored_otherwise(lock_mode) OR stored_otherwise(message) OR stored_otherwise(advice)) AS others,
	count(*) FILTER (WHERE l.rule = 'fk-missing-index' AND message !~ format('^foreign key \((an )?other\) of %s%s: no index begins with its columns, so that each DELETE of a referenced row reads the whole table$', name, (l.statement + 4) / 5)) AS wrong
	FROM (VALUES (2, 'a'), (400, 'b'), (2, repeat('c', 50)), (300, 'd')) s (n, name), LATERAL tapmig.lint(script(n, name)) l GROUP BY n, name;
SELECT n, left(name, 1) AS name, rows, statements, relations, locks, short, long, others, wrong FROM shapes ORDER BY name;
SELECT count(*), count(*) FILTER (WHERE l.message <> format('foreign key (referenced_agent) of %s: no index begins with its columns, so that each DELETE of a referenced row reads the whole table', repeat('e', g))) AS wrong,
	min(length(l.message)), max(length(l.message))
	FROM generate_series(1, 63) g, LATERAL tapmig.lint(format('CREATE TABLE %s (id int PRIMARY KEY, referenced_agent int REFERENCES agents)', repeat('e', g))) l WHERE l.rule = 'fk-missing-index';

-- What one call of a query took is given back when the next one begins.
CREATE FUNCTION memories(int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'tapmig lint memory');
END $$;
SELECT g, l.relation, memories(g) FROM generate_series(1, 3) g, LATERAL tapmig.lint(script(300 + g, 'e')) l WHERE l.statement = 1498 AND l.rule = 'dml-without-where';
SELECT count(*) FROM generate_series(1, 3) g, LATERAL (SELECT tapmig.lint(script(300, 'f'))) l;

-- The rows outlive what they were made of, behind a cursor too, and forwards and back.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT statement, rule, relation FROM tapmig.lint(script(300, 'g'));
MOVE 700 IN c;
SELECT count(*) FROM tapmig.lint(script(400, 'h'));
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
COMMIT;
DROP SCHEMA lint_rows CASCADE;
