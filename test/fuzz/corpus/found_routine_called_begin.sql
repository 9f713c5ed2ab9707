/* contrib/amcheck/amcheck--1.0.sql */;
CREATE OR REPLACE PROCEDURE begin(atomic int) -- tapmig:)store=offcreate;PARALLEL SAFE; xslt_process(text, text) PARALLEL SAFE;
;
;
