\set x 1
SELECT :x, :'x', :"x";
