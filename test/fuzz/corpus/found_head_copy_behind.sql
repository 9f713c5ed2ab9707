  -- applyformat  'x
\x\t\copy t from stdin
-- tapmig: replaces=001..120, 007
1
\.
.
()