SELECT '表示;', "能"; -- ソ
COPY t FROM stdin;
表
\.
