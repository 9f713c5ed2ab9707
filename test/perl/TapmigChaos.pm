# TapmigChaos.pm
#
# The scripts of the chaos, for test/chaos.
#
# %kinds		kinds of scripts. Of each: sql; setup, what is there before it; marks,
#				the steps that leave a row in S.marks, once; again, those that may
#				leave it more than once; mend, what takes away the cause of its
#				failure; holds, what is true when its version is in force; stays: it
#				fails until it is mended; run: it is not for tapmig.apply; free: it
#				may be registered, withdrawn and given up at any time.
#				S is the schema, V the version, PREVIOUS the one before it.
# fill_in($text, $schema, $version)		such a text, for a round
# dice($seed)	-> a generator of integers below its argument, the same everywhere
# pick($dice, @from)
# fault_library()	-> path of chaos/chaos_fault.c, compiled; undef without a compiler

package TapmigChaos;

use strict;
use warnings;

use Exporter 'import';
use TapmigTest;

our @EXPORT = qw(%kinds fill_in dice pick fault_library);

sub dice
{
	my ($state) = @_;

	$state = ($state * 2654435761 + 12345) & 0xffffffff;
	return sub {
		my ($n) = @_;

		for (1 .. 2) { $state = ($state * 1103515245 + 12345) & 0x7fffffff; }
		return ($state >> 8) % $n;
	};
}

sub pick { my ($dice, @from) = @_; return $from[ $dice->(scalar @from) ]; }

our %kinds = (
	table => {
		sql   => "CREATE TABLE S.t_V AS SELECT g AS a FROM generate_series(1, 2000) g;\nMARK(1);\n",
		marks => [1],
		holds => "(SELECT count(*) FROM S.t_V) = 2000",
	},
	alter => {
		sql   => "MARK(1);\nALTER TABLE S.shared ADD COLUMN c_V int;\nINSERT INTO S.shared (c_V) VALUES (1);\n",
		marks => [1],
		holds => "(SELECT count(*) FROM S.shared WHERE to_jsonb(shared) ->> 'c_V' = '1') = 1",
	},
	wrapped => {
		sql   => "BEGIN;\nMARK(1);\nCREATE TABLE S.w_V (a int);\nCOMMIT;\n",
		marks => [1],
		holds => "to_regclass('S.w_V') IS NOT NULL",
	},
	fails => {
		sql   => "MARK(1);\nSELECT 1 / x FROM S.switch;\nCREATE TABLE S.f_V (a int);\n",
		marks => [1],
		holds => "to_regclass('S.f_V') IS NOT NULL",
		stays => 1,
	},
	builds => {
		sql   => "CREATE TABLE S.b_V AS SELECT g AS a FROM generate_series(1, 3000) g;\nMARK(1);\nCREATE INDEX CONCURRENTLY b_V_a ON S.b_V (a);\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "VALID('S.b_V_a')",
	},
	builds_if => {
		sql   => "MARK(1);\nCREATE INDEX CONCURRENTLY IF NOT EXISTS bi_V_a ON S.shared (a, b);\nMARK(3);\nALTER TABLE S.shared ADD COLUMN d_V int;\nCREATE INDEX CONCURRENTLY bi_V_d ON S.shared (d_V);\n",
		marks => [ 1, 3 ],
		holds => "VALID('S.bi_V_a') AND VALID('S.bi_V_d')",
	},
	unique => {
		setup => "CREATE TABLE S.u_V AS SELECT g / 2 AS a FROM generate_series(2, 1001) g",
		sql   => "MARK(1);\nCREATE UNIQUE INDEX CONCURRENTLY u_V_a ON S.u_V (a);\nMARK(3);\n",
		marks => [ 1, 3 ],
		mend  => "DELETE FROM S.u_V x WHERE EXISTS (SELECT FROM S.u_V y WHERE y.a = x.a AND y.ctid > x.ctid)",
		holds => "VALID('S.u_V_a')",
		stays => 1,
	},
	detach => {
		setup => "CREATE TABLE S.p_V (a int) PARTITION BY RANGE (a); CREATE TABLE S.p_V_1 PARTITION OF S.p_V FOR VALUES FROM (0) TO (10); CREATE TABLE S.p_V_2 PARTITION OF S.p_V FOR VALUES FROM (10) TO (20)",
		sql   => "MARK(1);\nALTER TABLE S.p_V DETACH PARTITION S.p_V_1 CONCURRENTLY;\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "(SELECT count(*) FROM pg_inherits WHERE inhparent = 'S.p_V'::regclass) = 1",
	},
	vacuum => {
		sql   => "MARK(1);\nVACUUM S.shared;\nMARK(3);\nVACUUM ANALYZE S.marks;\n",
		marks => [ 1, 3 ],
	},
	commits => {
		sql   => "MARK(1);\nDO \$\$ BEGIN MARK(2); COMMIT; PERFORM count(*) FROM generate_series(1, 20000); MARK(2); COMMIT; END \$\$;\nMARK(3);\n",
		marks => [ 1, 3 ],
		again => [2],
	},
	enum => {
		setup => "CREATE TYPE S.e_V AS ENUM ('a'); CREATE TABLE S.et_V (e S.e_V)",
		sql   => "MARK(1);\nALTER TYPE S.e_V ADD VALUE 'b';\nINSERT INTO S.et_V VALUES ('b');\nMARK(2);\n",
		marks => [ 1, 2 ],
		holds => "(SELECT count(*) FROM S.et_V) = 1",
	},
	drops => {
		setup => "CREATE TABLE S.d_V (a int); CREATE INDEX d_V_a ON S.d_V (a)",
		sql   => "MARK(1);\nDROP INDEX CONCURRENTLY S.d_V_a;\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "to_regclass('S.d_V_a') IS NULL",
	},
	reindexes => {
		setup => "CREATE TABLE S.x_V AS SELECT g AS a, g AS b FROM generate_series(1, 2000) g; CREATE INDEX x_V_a ON S.x_V (a); CREATE UNIQUE INDEX x_V_b ON S.x_V (b)",
		sql   => "MARK(1);\nREINDEX TABLE CONCURRENTLY S.x_V;\nMARK(3);\nREINDEX INDEX CONCURRENTLY S.x_V_a;\n",
		marks => [ 1, 3 ],
		holds => "VALID('S.x_V_a') AND VALID('S.x_V_b') AND (SELECT count(*) FROM pg_index WHERE indrelid = 'S.x_V'::regclass) = 2",
	},
	transactions => {
		sql   => "BEGIN;\nMARK(1);\nCOMMIT;\nBEGIN;\nMARK(2);\nALTER TABLE S.shared ADD COLUMN m_V int;\nCOMMIT;\nBEGIN;\nMARK(3);\nCOMMIT;\n",
		marks => [ 1, 2, 3 ],
	},
	late => {
		sql   => "CREATE TABLE S.l_V AS SELECT g AS a FROM generate_series(1, 500) g;\nMARK(1);\nCREATE INDEX CONCURRENTLY ON S.l_V (a);\nMARK(3);\nSELECT 1 / x FROM S.switch;\nVACUUM S.l_V;\nMARK(5);\n",
		marks => [ 1, 3, 5 ],
		holds => "(SELECT count(*) FROM pg_index WHERE indrelid = 'S.l_V'::regclass AND indisvalid) = 1 AND (SELECT count(*) FROM pg_index WHERE indrelid = 'S.l_V'::regclass) = 1",
		stays => 1,
	},
	settings => {
		sql   => "SET search_path = S;\nSET ROLE chaos_builder;\nCREATE TABLE s_V (a int);\nINSERT INTO marks VALUES ('V', 1);\nCREATE INDEX CONCURRENTLY s_V_a ON s_V (a);\nINSERT INTO marks VALUES ('V', 3);\nCREATE INDEX CONCURRENTLY s_V_b ON s_V ((a + 1));\nINSERT INTO marks SELECT 'V', 5 WHERE current_user = 'chaos_builder';\n",
		marks => [ 1, 3, 5 ],
		holds => "VALID('S.s_V_a') AND VALID('S.s_V_b') AND (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'S.s_V'::regclass) = 'chaos_builder'",
	},
	unlocks => {
		sql   => "MARK(1);\nSELECT pg_advisory_unlock_all();\nVACUUM S.filler;\nSELECT pg_advisory_unlock_all();\nMARK(3);\nDISCARD ALL;\nMARK(5);\nCREATE INDEX CONCURRENTLY un_V_a ON S.shared (b, a);\n",
		marks => [ 1, 3, 5 ],
		holds => "VALID('S.un_V_a')",
	},
	noisy => {
		sql   => "MARK(1);\nVACUUM (VERBOSE) S.shared;\nDO \$\$ BEGIN FOR i IN 1 .. 3000 LOOP RAISE NOTICE '%', repeat('noise ', 20); END LOOP; END \$\$;\nMARK(3);\nVACUUM S.filler;\nMARK(5);\n",
		marks => [ 1, 3, 5 ],
	},
	schemas => {
		setup => "CREATE SCHEMA SX; CREATE TABLE SX.a AS SELECT g AS a, g AS b FROM generate_series(1, 1000) g; CREATE INDEX a_a ON SX.a (a); CREATE TABLE SX.b AS SELECT g AS a FROM generate_series(1, 1000) g; CREATE UNIQUE INDEX b_a ON SX.b (a)",
		sql   => "MARK(1);\nREINDEX SCHEMA CONCURRENTLY SX;\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "(SELECT count(*) FILTER (WHERE indisvalid) = 2 AND count(*) = 2 FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'SX'::regnamespace)",
	},
	requires => {
		sql   => "-- tapmig: requires=PREVIOUS\nMARK(1);\nVACUUM S.filler;\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "tapmig.is_applied('PREVIOUS', (SELECT track FROM tapmig.schema_migrations WHERE version = 'V' ORDER BY applied_at DESC LIMIT 1))",
	},
	impatient => {
		sql   => "-- tapmig: lock_timeout=60ms\nMARK(1);\nVACUUM FULL S.filler;\nMARK(3);\nALTER TABLE S.shared ADD COLUMN i_V int;\nVACUUM S.shared;\n",
		marks => [ 1, 3 ],
		holds => "(SELECT count(*) FROM pg_attribute WHERE attrelid = 'S.shared'::regclass AND attname = 'i_V') = 1",
	},
	crosses => {
		sql   => "MARK(1);\nALTER TABLE S.shared ADD COLUMN k_V int;\nSELECT pg_sleep(0.03);\nALTER TABLE S.other ADD COLUMN k_V int;\n",
		marks => [1],
		holds => "(SELECT count(*) FROM pg_attribute WHERE attrelid IN ('S.shared'::regclass, 'S.other'::regclass) AND attname = 'k_V') = 2",
	},
	crosses_late => {
		sql   => "MARK(1);\nVACUUM S.filler;\nMARK(3);\nALTER TABLE S.shared ADD COLUMN o_V int;\nSELECT pg_sleep(0.03);\nALTER TABLE S.other ADD COLUMN o_V int;\nCREATE INDEX CONCURRENTLY o_V_i ON S.other (o_V);\nMARK(5);\n",
		marks => [ 1, 3, 5 ],
		holds => "VALID('S.o_V_i') AND (SELECT count(*) FROM pg_attribute WHERE attrelid IN ('S.shared'::regclass, 'S.other'::regclass) AND attname = 'o_V') = 2",
	},
	carries => {
		sql   => "SET search_path = S, pg_catalog;\nSET lock_timeout = '300ms';\nSET statement_timeout = '20s';\nINSERT INTO marks VALUES ('V', 1);\nVACUUM filler;\nINSERT INTO marks SELECT 'V', 3 WHERE (current_setting('lock_timeout'), current_setting('statement_timeout')) = ('300ms', '20s');\nCREATE INDEX CONCURRENTLY ca_V ON shared (b);\nRESET lock_timeout;\nRESET ALL;\nVACUUM S.filler;\nINSERT INTO S.marks SELECT 'V', 7 WHERE current_setting('search_path') NOT LIKE 'S, %' AND current_setting('statement_timeout') = '0' AND current_setting('lock_timeout') <> '300ms';\n",
		marks => [ 1, 3, 7 ],
		holds => "VALID('S.ca_V')",
	},
	deferred => {
		setup => "CREATE TABLE S.df_V (a int PRIMARY KEY, b int CONSTRAINT df_V_fk REFERENCES S.df_V DEFERRABLE INITIALLY DEFERRED)",
		sql   => "MARK(1);\nVACUUM S.filler;\nMARK(3);\nINSERT INTO S.df_V VALUES (1, 2);\nINSERT INTO S.df_V VALUES (2, 1);\nVACUUM S.df_V;\nMARK(5);\n",
		marks => [ 1, 3, 5 ],
		holds => "(SELECT count(*) FROM S.df_V) = 2",
	},
	# In the end it is warned of what was listed and not lost
	loses => {
		sql   => "-- tapmig: loses=shared.never, approved-by=\"chaos\"\nMARK(1);\nVACUUM S.filler;\nMARK(3);\n",
		marks => [ 1, 3 ],
	},
	free => {
		sql   => "CREATE TABLE IF NOT EXISTS S.fr_V (a int);\nCREATE INDEX CONCURRENTLY IF NOT EXISTS fr_V_a ON S.fr_V (a);\nVACUUM S.fr_V;\nINSERT INTO S.fr_V VALUES (1);\n",
		marks => [],
		free  => 1,
		holds => "VALID('S.fr_V_a') AND EXISTS (SELECT FROM S.fr_V)",
	},
	read_levels => {
		sql   => "BEGIN ISOLATION LEVEL REPEATABLE READ;\nMARK(1);\nCREATE TABLE S.rl_V (a int);\nCOMMIT;\n",
		marks => [1],
		run   => 1,
		holds => "to_regclass('S.rl_V') IS NOT NULL",
	},
);

sub fault_library
{
	# The private copy's pg_config, first in PATH, knows the version and not where the headers are.
	my ($major) = qx{pg_config --version} =~ /(\d+)/;
	my ($pg_config) = grep { defined && -x } $ENV{PG_CONFIG}, "/usr/lib/postgresql/$major/bin/pg_config";
	my $library = scratch_dir() . '/chaos_fault.so';

	chomp(my $headers = qx{@{[ $pg_config // 'pg_config' ]} --includedir-server});
	my $failed = system("cc -shared -fPIC -O1 -Wall -I'$headers' -o $library " . top_dir() . '/test/chaos/chaos_fault.c');
	return $failed ? undef : $library;
}

sub fill_in
{
	my ($text, $schema, $version) = @_;

	$text =~ s/\bMARK\((\d)\)/INSERT INTO S.marks VALUES ('V', $1)/g;
	$text =~ s/\bVALID\(('[^']*')\)/(SELECT indisvalid AND indisready AND indislive FROM pg_index WHERE indexrelid = $1::regclass)/g;
	$text =~ s/\bS\b(?=[., ;]|$)/$schema/gm;
	$text =~ s/\bSX\b/${schema}_$version/g;
	$text =~ s/\bPREVIOUS\b/$version - 1/ge;
	$text =~ s/'V'/'$version'/g;
	$text =~ s/_V(?![A-Z])/_$version/g;
	return $text;
}

1;
