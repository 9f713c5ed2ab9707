SELECT 1;
-- migrate:down
DROP TABLE t;
