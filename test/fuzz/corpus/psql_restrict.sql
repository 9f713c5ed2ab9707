\restrict aBc\1
CREATE TABLE t (a int);
\unrestrict aBc\1
