INSERT INTO AS "end" values (BEGIN'a', NULL, 'c', 'd', 'c');
INSERT INTO nulltest valuesCOPY t FROM stdin;
 ('a', .end
, NULL, 'd', 'c');
 str;

COPY  instead_of_insert_tbl_view FROM stdin; -- fail.test1
\. 
(id);SET backslash_quote
\.
);
