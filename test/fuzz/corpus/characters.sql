SELECT 'äöü€😀', "ÄÖÜ", $ä$;$ä$ AS größe; --   
SELECT 1;
