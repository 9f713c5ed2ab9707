-- tapmig.lint calls no function of a user, and still tells what a default, a proof or a conversion with one means.
SET client_min_messages = warning;
CREATE SCHEMA lint_calls;
SET search_path = lint_calls;
SET tapmig.lint_rows = 10;
CREATE SEQUENCE called;
CREATE TABLE touched (id int);
CREATE FUNCTION fixed(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM nextval('lint_calls.called');
	PERFORM count(*) FROM lint_calls.touched;
	RETURN $1;
END $$;
CREATE FUNCTION fixed_too(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN lint_calls.fixed($1); END$$;
CREATE FUNCTION wraps() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT lint_calls.fixed(1)';
CREATE FUNCTION varies(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1 + (10 * random())::int';
CREATE OPERATOR <+> (FUNCTION = fixed_too, LEFTARG = int, RIGHTARG = int);
CREATE TABLE agents (id int CHECK (id IS NOT NULL AND id >= fixed(0)), team int CHECK (team > fixed(0) AND team < 1000 <+> 1));
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
INSERT INTO agents SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO parted SELECT i FROM generate_series(1, 50) i;
SELECT setval('called', 1000);
CREATE TABLE cases (n int GENERATED ALWAYS AS IDENTITY, script text, finds text);
INSERT INTO cases (script, finds) VALUES
('ALTER TABLE agents ADD x int DEFAULT fixed(1), ADD y int DEFAULT fixed(1) + 1 <+> 2', ''),
('ALTER TABLE agents ADD x int DEFAULT fixed(1) + (10 * random())::int',
	'1:add-column-volatile-default=error'),
('ALTER TABLE agents ADD x int DEFAULT fixed(varies(1))',
	'1:add-column-volatile-default=error'),
('ALTER TABLE agents ADD x int DEFAULT varies(fixed(1))',
	'1:add-column-volatile-default=error'),
('ALTER TABLE agents ALTER team TYPE int USING fixed(1)',
	'1:alter-type-rewrite=error'),
('ALTER TABLE agents ALTER team TYPE int USING team + fixed(1)',
	'1:alter-type-rewrite=error'),
('ALTER TABLE agents ALTER id SET NOT NULL', ''),
('ALTER TABLE agents ALTER team SET NOT NULL',
	'1:set-not-null-scan=error'),
('ALTER TABLE agents ADD CONSTRAINT c CHECK (team > fixed(2) AND team IS NOT NULL) NOT VALID; VACUUM agents; ALTER TABLE agents VALIDATE CONSTRAINT c; VACUUM agents; ALTER TABLE agents ALTER team SET NOT NULL',
	'3:validate-constraint-scan=notice'),
-- the function in another one's text: nothing is said, nothing is called
('ALTER TABLE agents ADD x int DEFAULT wraps()', ''),
('CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (fixed(100)) TO (fixed(200))',
	'1:partition-create-of-locks-parent=warning');
SELECT n, script, finds AS expected, found
FROM cases, LATERAL (SELECT coalesce(string_agg(statement || ':' || rule || '=' || level, ' ' ORDER BY statement, rule), '') AS found
	FROM tapmig.lint(script)) AS f
WHERE found <> finds ORDER BY n;
SELECT count(*) FROM cases;
SELECT last_value, is_called FROM called;
BEGIN;
SELECT count(*) FROM tapmig.lint('ALTER TABLE agents ADD x int DEFAULT fixed(1)');
SELECT count(*) FROM pg_locks WHERE relation = 'touched'::regclass;
-- outside of lint it is called as ever, after an error in it too
SELECT count(*) FROM tapmig.lint('ALTER TABLE agents ADD x int DEFAULT wraps() / 0');
SELECT fixed(7);
COMMIT;
SELECT last_value FROM called;
DROP SCHEMA lint_calls CASCADE;
