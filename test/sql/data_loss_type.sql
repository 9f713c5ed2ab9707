-- Loss of data by ALTER COLUMN ... TYPE: decided on the values that are there.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'data_loss_type';
SET tapmig.out_of_order = allow;
SET tapmig.lint = off;
SET tapmig.data_loss = error;
SET datestyle = 'ISO';
CREATE SCHEMA data_loss_type;
SET search_path = data_loss_type, public;

-- What changing a column of one value says: lost, kept, or PostgreSQL's own error.
CREATE FUNCTION try_type(n int, change text, OUT outcome text, OUT why text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tapmig.apply('1', format('ALTER TABLE data_loss_type.typed_%s ALTER c TYPE %s', n, change));
	RAISE EXCEPTION USING ERRCODE = 'DL001', MESSAGE = '';
EXCEPTION
	WHEN SQLSTATE 'DL001' THEN outcome := 'kept';
	WHEN SQLSTATE 'TM008' THEN
		GET STACKED DIAGNOSTICS why = PG_EXCEPTION_DETAIL;
		outcome := 'lost';
	WHEN OTHERS THEN outcome := 'error'; why := SQLERRM;
END $$;
CREATE TABLE cases (n serial, expected text, type text, value text, change text);
INSERT INTO cases (expected, type, value, change) VALUES
-- texts
('kept', 'varchar(10)', 'abcdefghij', 'varchar(50)'),
('kept', 'varchar(10)', 'abcdefghij', 'text'),
('kept', 'text', 'abcdefghij', 'varchar(10)'),
('error', 'varchar(50)', 'abcdefghijk', 'varchar(10)'),
('lost', 'varchar(50)', 'abcdefghijk', 'varchar(10) USING c::varchar(10)'),
('kept', 'varchar(50)', 'abcdefghij', 'varchar(10) USING c::varchar(10)'),
('lost', 'text', 'Ääääääääää!', 'varchar(10) USING left(c, 10)'),
('kept', 'text', 'Ääääääääää', 'varchar(10) USING left(c, 10)'),
('kept', 'text', 'MiXed', 'text USING lower(c)'),
('lost', 'text', 'a@b', 'text USING split_part(c, ''@'', 2)'),
('kept', 'char(10)', 'ab', 'varchar(10)'),
('kept', 'char(10)', 'ab', 'varchar(2) USING c::varchar(2)'),
('lost', 'text[]', '{abc,abcd}', 'varchar(3)[] USING c::varchar(3)[]'),
('kept', 'text[]', '{abc,abc}', 'varchar(3)[] USING c::varchar(3)[]'),
('lost', 'text[]', '{abc,abcd}', 'text USING c[1]'),
('kept', 'text[]', '{abc,abcd}', 'text USING array_to_string(c, '','')'),
('lost', 'text', repeat('x', 64), 'name'),
('kept', 'text', repeat('x', 63), 'name'),
-- numbers
('kept', 'int', '5', 'bigint'),
('kept', 'bigint', '5', 'int'),
('error', 'bigint', '5000000000', 'int'),
('kept', 'int', '5', 'text'),
('lost', 'int', '12345', 'varchar(2) USING c::varchar(2)'),
('kept', 'numeric(10,2)', '1.23', 'numeric(12,4)'),
('kept', 'numeric(10,2)', '1.23', 'numeric'),
('lost', 'numeric(10,4)', '1.2345', 'numeric(10,2)'),
('kept', 'numeric(10,4)', '1.2300', 'numeric(10,2)'),
('error', 'numeric(10,4)', '12345.1', 'numeric(5,2)'),
('lost', 'numeric', '1.5', 'int'),
('kept', 'numeric', '2.0', 'int'),
('lost', 'float8', '0.1', 'float4'),
('kept', 'float8', '0.5', 'float4'),
('kept', 'float4', '0.1', 'float8'),
('kept', 'numeric(10,2)', '12.34', 'int USING (c * 100)::int'),
('lost', 'numeric(10,3)', '12.345', 'int USING (c * 100)::int'),
('lost', 'int', '5', 'boolean USING c::boolean'),
('kept', 'int', '1', 'boolean USING c::boolean'),
('kept', 'boolean', 't', 'int USING c::int'),
('kept', 'boolean', 't', 'text'),
-- times
('lost', 'timestamp', '2026-01-02 03:04:05', 'date'),
('kept', 'timestamp', '2026-01-02', 'date'),
('lost', 'timestamptz', '2026-01-02 03:04:05.5+00', 'timestamptz(0)'),
('kept', 'timestamptz', '2026-01-02 03:04:05+00', 'timestamptz(0)'),
('kept', 'timestamptz(0)', '2026-01-02 03:04:05+00', 'timestamptz'),
('kept', 'date', '2026-01-02', 'timestamptz'),
('kept', 'timestamp', '2026-01-02 03:04:05', 'timestamptz USING c AT TIME ZONE ''UTC'''),
('kept', 'timestamp', '2026-01-02 03:04:05', 'timestamptz'),
('lost', 'timestamp', '2026-01-02 03:04:05', 'time'),
('lost', 'timestamptz', '2026-01-02 03:04:05+00', 'date USING (c AT TIME ZONE ''UTC'')::date'),
('kept', 'bigint', '1700000000', 'timestamptz USING to_timestamp(c)'),
-- text becomes something
('kept', 'text', '007', 'int USING c::int'),
('error', 'text', 'x', 'int USING c::int'),
('kept', 'text', '', 'int USING NULLIF(c, '''')::int'),
('lost', 'text', 'x', 'int USING CASE WHEN c ~ ''^\d+$'' THEN c::int END'),
('kept', 'text', '12', 'int USING CASE WHEN c ~ ''^\d+$'' THEN c::int END'),
('kept', 'text', 'true', 'boolean USING c::boolean'),
('kept', 'text', '{"a":1}', 'jsonb USING c::jsonb'),
('kept', 'text', '2026-01-02', 'date USING c::date'),
('kept', 'text', '6b1a7a3e-0000-4000-8000-000000000000', 'uuid USING c::uuid'),
-- json and others
('kept', 'json', '{"a":1}', 'jsonb'),
('kept', 'jsonb', '{"a":1}', 'text'),
('lost', 'jsonb', '{"a":1,"b":2}', 'int USING (c->>''a'')::int'),
('lost', 'json', '{"a":1}', 'text USING c #>> ''{a}'''),
('lost', 'inet', '10.1.2.3/8', 'cidr USING c::cidr'),
('kept', 'inet', '10.0.0.0/8', 'cidr USING c::cidr'),
('lost', 'bit(8)', '10101010', 'bit(4) USING c::bit(4)'),
('lost', 'point', '(1,2)', 'float8 USING c[0]'),
-- constants and other columns
('lost', 'text', 'x', 'text USING NULL'),
('lost', 'text', 'x', 'int USING 0'),
('lost', 'int', '5', 'int USING id'),
('lost', 'int', '5', 'float8 USING random()'),
('kept', 'int', '5', 'float8 USING c + random()'),
('error', 'int', '5', 'text USING typed_73::text'),
('error', 'int', '5', 'int USING nothing'),
('error', 'int', '5', 'nothing'),
('error', 'int', '5', 'int USING c / 0'),
-- casts of casts; "char", which is a text of one byte
('lost', 'bigint', '5', 'boolean USING c::int::boolean'),
('kept', 'bigint', '1', 'boolean USING c::int::boolean'),
('lost', 'text', 'abc', '"char" USING c::"char"'),
('lost', 'varchar(9)', 'abc', '"char" USING c::"char"'),
('kept', 'text', 'a', '"char" USING c::"char"'),
('kept', '"char"', 'a', 'text'),
('kept', '"char"', 'a', 'int USING c::int'),
('lost', 'timestamptz', '2020-01-01 10:00+00', 'timestamptz USING c::date'),
('kept', 'timestamp', '2020-01-01 00:00', 'timestamp USING c::date'),
('lost', 'timestamp', '2020-01-01 10:00', 'text USING c::date::text'),
('kept', 'timestamp', '2020-01-01 00:00', 'text USING c::date::text'),
('lost', 'numeric', '1.5', 'numeric USING c::int'),
('kept', 'numeric', '2.0', 'numeric USING c::int'),
('lost', 'numeric', '1.5', 'text USING c::int::text'),
('kept', 'numeric', '2.0', 'text USING c::int::text'),
('lost', 'numeric[]', '{1.5,2}', 'text[] USING c::int[]::text[]'),
('lost', 'float8', '0.1', 'float8 USING c::float4'),
('kept', 'bigint', '5', 'numeric USING c::int'),
('kept', 'json', '{"a":  1}', 'text USING c::jsonb::text'),
('lost', 'text', '007', 'text USING c::int::text'),
('kept', 'text', '2020-1-1', 'varchar(20) USING c::date::text');
DO $$
DECLARE r record;
BEGIN
	FOR r IN SELECT * FROM cases ORDER BY n LOOP
		EXECUTE format('CREATE TABLE typed_%s (id int PRIMARY KEY, c %s)', r.n, r.type);
		EXECUTE format('INSERT INTO typed_%s VALUES (1, %L), (2, NULL)', r.n, r.value);
	END LOOP;
END $$;
SELECT n, expected, outcome, type, value, change, why FROM cases, try_type(n, change) WHERE outcome <> expected;
SELECT expected, count(*) FROM cases GROUP BY 1 ORDER BY 1;
SELECT type, change, why FROM cases, try_type(n, change) WHERE outcome = 'lost' AND n IN (5, 15, 26, 40, 70) ORDER BY n;

-- Domains, enums, children, several columns.
CREATE DOMAIN short AS varchar(3);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE many (id int PRIMARY KEY, a text, b numeric, m mood, o text);
INSERT INTO many VALUES (1, 'abcd', 1.5, 'good', 'x'), (2, 'abc', 2.5, 'bad', 'y'), (3, 'ab', 3, NULL, 'z');
SELECT tapmig.apply('2', 'ALTER TABLE many ALTER a TYPE short USING a::short, ALTER b TYPE int, ALTER o TYPE text, ALTER m TYPE text, DROP o');
SELECT tapmig.apply('3', 'ALTER TABLE many ALTER m TYPE text; ALTER TABLE many ALTER m TYPE mood USING m::mood; ALTER TABLE many ALTER m TYPE int USING CASE m WHEN ''good'' THEN 1 ELSE 2 END');
CREATE TABLE parent (a numeric, b text);
CREATE TABLE child (x int) INHERITS (parent);
CREATE TABLE parted (b text, a numeric, k int) PARTITION BY LIST (k);
CREATE TABLE parted_1 (k int, a numeric, b text);
ALTER TABLE parted ATTACH PARTITION parted_1 FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO child VALUES (1.5, 'abc'), (2, 'ab');
INSERT INTO parted VALUES ('abc', 1.5, 1), ('ab', 2.5, 2), ('ab', 2.5, 2);
SELECT tapmig.apply('4', 'ALTER TABLE parent ALTER a TYPE int');
SELECT tapmig.apply('4', 'ALTER TABLE parted ALTER a TYPE int USING a::int, ALTER b TYPE varchar(2) USING b::varchar(2)');
SELECT tapmig.apply('4', E'-- tapmig: loses=parent.a, parted, approved-by=me\nALTER TABLE parent ALTER a TYPE int; ALTER TABLE parted ALTER a TYPE int');

-- Looked at for a second at most; then it counts as lost. The trial leaves nothing behind.
CREATE TABLE slow (id int PRIMARY KEY, c text);
INSERT INTO slow SELECT i, 'x' FROM generate_series(1, 10) i;
CREATE SEQUENCE calls;
CREATE FUNCTION slowly(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN $1 || 'y'; END $$;
CREATE FUNCTION counted(text) RETURNS text VOLATILE LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('calls'); RETURN $1; END $$;
SELECT tapmig.apply('5', 'ALTER TABLE slow ALTER c TYPE text USING slowly(c)');
SELECT tapmig.apply('6', 'ALTER TABLE slow ALTER c TYPE text USING counted(c)');
SELECT last_value FROM calls;
SET statement_timeout = '200ms';
SELECT tapmig.apply('7', 'ALTER TABLE slow ALTER c TYPE text USING slowly(c)');
\echo :LAST_ERROR_SQLSTATE
RESET statement_timeout;

SET client_min_messages = warning;
DROP SCHEMA data_loss_type CASCADE;
