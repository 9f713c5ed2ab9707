COPY t (a, b) FROM stdin;
1	a;'$$/*
2	\N
\.
SELECT 1;
copy t from stdin with (format csv);
"x
;",2
\.

COPY t FROM '/dev/null';
