CREATE FUNCTION atomic(begin int, "end" int) RETURNS int RETURN 1;
CREATE TABLE begin (atomic int, "case" int);
SELECT 2;
