SELECT tapmigapply('3_refused',E'SELECT 1\n\\gexec');
SELECT tapmig.apply('3_refused', E'SELECT 1 \\gset'\set ON_ERROR_STOP 0
'-- tapmig: replaces=00,.0.120, 007-- tapmig: \'-- tapmig: \
