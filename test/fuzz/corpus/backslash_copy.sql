\copy t from stdin
1
\.
\copy t (a, b) from stdin with (format csv);
1,2
\.
SELECT 1;
