COPY t FROM stdin; -- data
\.
COPY t FROM stdin;
\.