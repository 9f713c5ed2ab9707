CREATE TABLE t (
\echo here
a int);
