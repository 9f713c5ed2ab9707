-- tapmig: replaces=001..120, 1.2-3, V1_2__x
CREATE TABLE t (a int);