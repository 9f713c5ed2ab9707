SET standard_conforming_strings = off;
SELECT 'it\'s; one';
SET standard_conforming_strings TO 'on';
SELECT 'back\';
SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);
SELECT 'it\'s';
RESET ALL;
SET backslash_quote = off; SELECT E'it\'s';
