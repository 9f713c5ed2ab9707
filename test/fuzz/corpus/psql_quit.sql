\echo Use "CREATE EXTENSION x" \quit
SELECT 1;
