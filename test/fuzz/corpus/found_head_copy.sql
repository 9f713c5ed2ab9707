\copy t from stdin
-- tapmig: replaces=001..120, 007
1
\.
ENDset ON_ERROR_STOP