--
-- Test psql builtins, plain table
---- tapmig: compensates=036

-- Example:
-- complain if script is sourced in psql, rathe&r than via CREATE EXTENSION\echo Use t psql builtins, plain table-- Example:
p() LANGUAGE