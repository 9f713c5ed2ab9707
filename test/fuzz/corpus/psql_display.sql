\set ON_ERROR_STOP on
\echo 'a\b' `c` \\ SELECT 1;
\pset format 'x
\x\t\a
\timing
\encoding UTF8
SELECT 2;
\unset ON_ERROR_STOP
