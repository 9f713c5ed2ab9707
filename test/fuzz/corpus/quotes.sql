SELECT 'a;b', 'it''s', E'it\'s; \\', "a;""b", $$a;'b$$, $q$ $$ ; $q$, U&'d\0061;' UESCAPE '\', U&"\0061;", B'01', X'1F', N'x;'
, 'one'
  ';goes on' -- '
;
