-- Loss of data by MERGE: one that deletes every row of its table counts, as DELETE without WHERE does.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
SET tapmig.track = 'data_loss_merge';
SET tapmig.out_of_order = allow;
SET tapmig.lint = off;
SET tapmig.data_loss = error;
CREATE SCHEMA data_loss_merge;
SET search_path = data_loss_merge;
CREATE TABLE goods (id int PRIMARY KEY, n int);
CREATE TABLE shelves (id int, n int) PARTITION BY LIST (id);
CREATE TABLE shelves_1 PARTITION OF shelves FOR VALUES IN (1);
CREATE TABLE shelves_2 PARTITION OF shelves FOR VALUES IN (2);
CREATE TABLE none_left (id int);
CREATE VIEW goods_view AS SELECT * FROM goods WHERE n > 0;
INSERT INTO goods VALUES (1, 1), (2, 2);
INSERT INTO shelves VALUES (1, 1), (2, 2);
SELECT tapmig.apply('20', 'MERGE INTO goods g USING generate_series(1, 1) s ON true WHEN MATCHED THEN DELETE');
CREATE FUNCTION merge_outcome(rest text, OUT outcome text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tapmig.apply('21', 'MERGE INTO ' || rest);
	RAISE EXCEPTION USING ERRCODE = 'DL001', MESSAGE = '';
EXCEPTION
	WHEN SQLSTATE 'DL001' THEN outcome := 'kept';
	WHEN SQLSTATE 'TM008' THEN outcome := 'lost';
END $$;
CREATE TABLE merges (n serial, rest text, expected text, since int);
INSERT INTO merges (rest, expected, since) VALUES
('goods g USING generate_series(1, 1) s ON true WHEN MATCHED AND g.n > 0 THEN DELETE WHEN MATCHED THEN DELETE', 'lost', 15),
('goods g USING shelves s ON true WHEN MATCHED THEN DELETE', 'lost', 15),
('goods g USING generate_series(1, 1) s ON 1 = 1 WHEN NOT MATCHED THEN INSERT VALUES (3, 3) WHEN MATCHED THEN DELETE', 'lost', 15),
('goods g USING generate_series(1, 1) s ON true WHEN MATCHED AND true THEN DELETE', 'lost', 15),
('shelves g USING generate_series(1, 1) s ON true WHEN MATCHED THEN DELETE', 'lost', 15),
('shelves_1 g USING generate_series(1, 1) s ON true WHEN MATCHED THEN DELETE', 'lost', 15),
('none_left g USING generate_series(1, 1) s ON true WHEN MATCHED THEN DELETE', 'kept', 15),
('goods g USING generate_series(1, 2) s ON g.id = s WHEN MATCHED THEN DELETE', 'kept', 15),
('goods g USING generate_series(1, 1) s ON g.n > 0 WHEN MATCHED THEN DELETE', 'kept', 15),
('goods g USING generate_series(1, 1) s ON true WHEN MATCHED AND n > 0 THEN DELETE', 'kept', 15),
('goods g USING generate_series(1, 1) s ON true WHEN MATCHED AND n > 1 THEN DO NOTHING WHEN MATCHED THEN DELETE', 'kept', 15),
('goods g USING generate_series(1, 1) s ON true WHEN MATCHED AND n > 1 THEN UPDATE SET n = 0 WHEN MATCHED THEN DELETE', 'kept', 15),
('goods g USING generate_series(1, 1) s ON true WHEN MATCHED THEN UPDATE SET n = 0', 'kept', 15),
('goods g USING generate_series(1, 1) s ON true WHEN NOT MATCHED THEN INSERT VALUES (3, 3)', 'kept', 15),
('goods_view g USING generate_series(1, 1) s ON true WHEN MATCHED THEN DELETE', 'kept', 17),
('goods g USING generate_series(1, 1) s ON g.id = s WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DELETE', 'lost', 17),
('goods g USING generate_series(1, 1) s ON true WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DELETE', 'lost', 17),
('goods g USING generate_series(1, 1) s ON g.id = s WHEN NOT MATCHED BY SOURCE THEN DELETE', 'kept', 17),
('goods g USING generate_series(1, 1) s ON g.id = s WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE AND g.n > 1 THEN DELETE', 'kept', 17),
('goods_view g USING generate_series(1, 1) s ON g.id = s WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DELETE', 'kept', 17);
SELECT n, rest, expected, outcome FROM merges, LATERAL merge_outcome(rest)
WHERE since * 10000 <= current_setting('server_version_num')::int AND outcome <> expected ORDER BY n;
SELECT tapmig.apply('22', E'-- tapmig: loses=goods, approved-by=me\nMERGE INTO goods g USING generate_series(1, 1) s ON true WHEN MATCHED THEN DELETE');
SELECT count(*) FROM goods;

SET client_min_messages = error;
DROP SCHEMA data_loss_merge CASCADE;
