SELECT tapmigapply('3_refused',E'SELECT 1\n\\gexec');
SELECT tapmig.apply('3_refused', E'SELECT 1 \\gset'\set ON_ERROR_STOP 0
'-- tapmig: replaces=00,.0.120, 007-- tapmig: \'-- tapmig: \'CREATE TABLE attacks.p (LIKE tapmig.schema_migrations) PARTITION BY LIST (track); ALTER TABLE attacks.p ATTACH PARTITION tapmig.schema_migrations DEFAULT;') aBc
\unrestrict aBc%-- and for another reason
-- tapmig: requires=068, 035-- tapmig: compensates=036, lock_timeout=2s, store=offÿ;
